/**
 * Acting as somebody else (`kubectl --as`): plain requests only, where a policy allows it and RBAC
 * does.
 *
 * No session and no transcript, as for any request that passes; a line of the log says who was whom,
 * since the API server's audit log sees only the gateway and the one that was acted as.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { assertMay } from '../kube/access-review.ts'
import { impersonationHeaders } from '../kube/impersonate.ts'
import { ACCOUNT_PREFIX } from '../kube/service-account-name.ts'
import type { Logger } from '../telemetry/logger.ts'
import { type Access, NO_POD } from './access.ts'
import { decide, type AdmitDeps } from './admit.ts'
import { isDiscovery } from './discovery.ts'
import type { Exchange } from './exchange.ts'
import { identityOf, originOf } from './identity-of.ts'
import type { ImpersonationAsk } from './impersonation.ts'
import { passThrough } from './passthrough.ts'

export interface ServeAsDeps extends AdmitDeps {
  log: Logger
}

function refused(why: string): GatewayError {
  return new GatewayError('Forbidden', `acting as somebody else is not possible here: ${why}`, {
    id: 1049,
  })
}

/** What no policy can allow. */
function assertPossible({ info }: Exchange, { user, groups, uid, extra }: ImpersonationAsk): void {
  if (uid !== undefined || Object.keys(extra).length > 0) {
    throw refused('a uid or extras cannot be chosen; leave out --as-uid and --as-user-extra')
  }
  if (user.startsWith(ACCOUNT_PREFIX)) {
    throw refused(
      'service accounts act by their tokens; ask for one with kubectl create token, which is decided and recorded',
    )
  }
  if ([user, ...groups].some((name) => name.startsWith('system:'))) {
    throw refused('names that start with "system:" belong to the cluster itself')
  }
  // Who may act as an approver would approve what they have asked for themselves.
  if (info.apiGroup === 'podgate.dev' && info.method !== 'GET' && info.method !== 'HEAD') {
    throw refused('decisions and policies of Podgate are written as yourself; leave out --as')
  }
}

function accessOf({ user, groups }: ImpersonationAsk): Access {
  return {
    operation: 'Impersonate',
    namespace: '',
    review: { verb: 'impersonate', namespace: '', resource: 'users', name: user },
    command: [],
    tty: false,
    stdin: false,
    impersonate: { user, groups },
    readFacts: () => Promise.resolve(NO_POD),
  }
}

/** @throws GatewayError while nothing has been answered, or UpstreamStatusError */
export async function serveAs(
  deps: ServeAsDeps,
  exchange: Exchange,
  ask: ImpersonationAsk,
): Promise<void> {
  const { info, user, request, response } = exchange
  const { client, log } = deps
  const identity = identityOf(user)
  if (isDiscovery(info)) {
    // As themselves: of a refusal here kubectl shows no word, and so never gets to the one that counts.
    await passThrough(client, info, identity, request, response)
    return
  }
  assertPossible(exchange, ask)
  const { review, ...rest } = accessOf(ask)
  const decision = decide(deps, user, { review, ...rest }, { facts: NO_POD, namespaceLabels: {} })
  if (decision.kind === 'requireApproval') {
    throw refused('a policy demands approval, which only sessions can wait for')
  }
  const group = { ...review, resource: 'groups' }
  const rights = [review, ...ask.groups.map((name) => ({ ...group, name }))]
  await Promise.all(rights.map((right) => assertMay(client, user.username, identity, right)))
  const { method, path } = info
  log.info({ user: user.username, as: ask.user, groups: ask.groups, method, path }, 'acting as')
  const headers = impersonationHeaders({
    username: ask.user,
    groups: ask.groups,
    // Whose doing it is: the API server's audit log has it by these.
    extra: originOf(user),
  })
  await passThrough(client, info, headers, request, response)
}

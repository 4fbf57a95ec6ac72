/** Who is who: everything that says so, wired together. No decisions of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { GatewayConfig } from '../../lib/config/gateway-config.ts'
import type { SignInConfig } from '../../lib/config/sign-in-config.ts'
import { errorText, GatewayError } from '../../lib/errors/gateway-error.ts'
import { createAuthenticator } from '../../lib/identity/authenticate.ts'
import type { CertificateRules, ReadCertificate } from '../../lib/identity/client-certificate.ts'
import { createIdentify, type Identify } from '../../lib/identity/identify.ts'
import type { LoginStore } from '../../lib/identity/login-store.ts'
import {
  createLogins,
  DEFAULT_LOGIN_LIMITS,
  type Logins,
  type LoginLimits,
} from '../../lib/identity/logins.ts'
import { createMongoLoginStore, KEEP_ENDED_MS } from '../../lib/identity/mongo-login-store.ts'
import { SYSTEM_DEPS, type OidcDeps } from '../../lib/identity/oidc.ts'
import { createRevocations, type Revocations } from '../../lib/identity/revocations.ts'
import { createRevoker, type Revoker, THE_GATEWAY } from '../../lib/identity/revoke.ts'
import { createServiceAccounts } from '../../lib/identity/service-account.ts'
import type { ApiClient } from '../../lib/kube/api-client.ts'
import type { Person } from '../../lib/identity/user.ts'
import type { SignInProvider } from '../../lib/sign-in/provider.ts'
import { createSignInApp } from '../../lib/sign-in/sign-in-app.ts'
import type { Logger } from '../../lib/telemetry/logger.ts'
import { openProviders } from './open-providers.ts'
import { prepareStore } from './open-store.ts'

type Serve = (request: IncomingMessage, response: ServerResponse) => void

export interface OpenIdentity {
  identify: Identify
  revocations: Revocations
  revoker: Revoker
  store: LoginStore
  /** Undefined where people come with tokens of another program. */
  serveSignIn: Serve | undefined
  /** Rejects while nobody could be let in. */
  check(): void
  close(): Promise<void>
}

/** Of what runs: a person who is disabled at the provider has to be gone soon after `recheck`. */
const LIVE_CHECK_MS = 10_000
const SWEEP_MS = 10 * 60_000

function limitsOf(config: SignInConfig | undefined): LoginLimits {
  return {
    ...DEFAULT_LOGIN_LIMITS,
    ...(config === undefined
      ? {}
      : {
          tokenMs: config.tokenLifetime,
          sessionMs: config.sessionLifetime,
          recheckMs: config.recheck,
        }),
  }
}

interface Running {
  logins: Logins
  revocations: Revocations
  store: LoginStore
  log: Logger
}

/** What has to be done from time to time, as long as the gateway runs. */
function startRounds({ logins, revocations, store, log }: Running): () => void {
  const check = setInterval(() => {
    void logins.recheckLive(revocations.liveLogins()).then((over) => {
      for (const [login, reason] of over) revocations.endLogin(login, reason)
    })
  }, LIVE_CHECK_MS)
  const sweep = setInterval(() => {
    store.sweep(new Date()).catch((error: unknown) => {
      log.warn({ reason: errorText(error) }, 'clearing out sign-ins')
    })
  }, SWEEP_MS)
  check.unref()
  sweep.unref()
  return () => {
    clearInterval(check)
    clearInterval(sweep)
  }
}

/** Loaded where it is configured only: ASN.1 takes a tenth of a second and 8 MB. */
async function openCertificates(rules: CertificateRules): Promise<ReadCertificate> {
  const { createReadCertificate } = await import('../../lib/identity/client-certificate.ts')
  return createReadCertificate(rules)
}

export async function openIdentity(
  config: GatewayConfig,
  log: Logger,
  stop: AbortSignal,
  client: ApiClient,
): Promise<OpenIdentity> {
  const closers: (() => void)[] = []
  const onError = (message: string): void => log.warn({ reason: message }, 'signing people in')
  const deps: OidcDeps = {
    ...SYSTEM_DEPS,
    onProviderError: (issuer, reason) => log.warn({ issuer, reason }, 'asking a sign-in provider'),
  }
  const store = createMongoLoginStore(config.mongodb)
  const opened = await openProviders(config, deps, store)
  closers.push(() => opened.close())
  const preparation = prepareStore('the store of sign-ins', store, log)
  const revocations = createRevocations({
    store,
    stop,
    onError,
    onRevoked: () => logins.forget(),
  })
  const limits = limitsOf(config.signIn)
  const keepMs = Math.max(limits.sessionMs, KEEP_ENDED_MS)
  const revoker = createRevoker({ store, revocations, keepMs })
  const trusted = config.oidc.filter(
    ({ acceptIdTokens, accessTokens }) => acceptIdTokens || accessTokens !== undefined,
  )
  const idTokens = createAuthenticator(trusted, deps)
  const logins = createLogins({
    store,
    limits,
    recheck: (name) => opened.oidc.find((signIn) => signIn.name === name)?.recheck,
    // A token of a workload stands for its issuer alone.
    isConfigured: (name, issuer) =>
      opened.issuers.get(name) === issuer ||
      (name === issuer && trusted.some((one) => one.issuer === issuer)),
    endLogin: async (login, reason) => {
      const target = { kind: 'Login', id: login } as const
      await revoker.revoke({ target, block: false, by: THE_GATEWAY, reason })
    },
    assertMayBegin: (person) => revocations.assertAllowed(beginning(person)),
    onError,
  })
  const serviceAccounts =
    config.serviceAccounts && createServiceAccounts({ client, ...config.serviceAccounts })
  const identify = createIdentify({
    idTokens,
    logins,
    revocations,
    ...(config.clientCertificates === undefined
      ? {}
      : { certificate: await openCertificates(config.clientCertificates) }),
    ...(serviceAccounts === undefined ? {} : { serviceAccounts }),
  })
  revocations.start()
  closers.push(
    startRounds({ logins, revocations, store, log }),
    () => revocations.close(),
    () => idTokens.close(),
    () => serviceAccounts?.close(),
    () => preparation.stop(),
  )

  return {
    identify,
    revocations,
    revoker,
    store,
    serveSignIn: openSignInApp({
      config,
      store,
      logins,
      identify,
      revocations,
      revoker,
      log,
      providers: opened.providers,
    }),
    check() {
      if (!preparation.isReady())
        throw new GatewayError('ServiceUnavailable', 'indexes are not there yet')
      if (revocations.ageMs() > 15_000) {
        throw new GatewayError('ServiceUnavailable', 'who was revoked is not known')
      }
    },
    async close() {
      for (const close of closers) close()
      await store.close()
    },
  }
}

interface SignInParts {
  config: GatewayConfig
  store: LoginStore
  logins: Logins
  identify: Identify
  revocations: Revocations
  revoker: Revoker
  log: Logger
  providers: readonly SignInProvider[]
}

/** What is wrong with our own surroundings; other causes may quote what a browser has sent. */
const OWN_CAUSES = new Set([1419, 1420, 1452])

function openSignInApp(parts: SignInParts): Serve | undefined {
  const { config, store, logins, identify, revocations, revoker, log, providers } = parts
  if (config.signIn === undefined) return undefined
  const { url } = config.signIn
  const app = createSignInApp({
    url,
    clusterName: config.cluster.name,
    providers,
    store,
    logins,
    verifyToken: (token) => identify({ headers: { authorization: `Bearer ${token}` } }),
    endLogins: revoker.endLogins,
    assertMayBegin: (person) => revocations.assertAllowed(beginning(person)),
    onSignIn: ({ username, issuer }, provider) =>
      log.info({ user: username, issuer, provider }, 'signed in'),
    onFailure: ({ id, message, cause }) =>
      log.info(
        { id, reason: message, ...(OWN_CAUSES.has(id ?? 0) ? { cause: errorText(cause) } : {}) },
        'sign-in failed',
      ),
  })
  return (request, response) => app(request, response)
}

/** Somebody who is about to get a token, as rules look at them. */
function beginning(person: Person): Parameters<Revocations['assertAllowed']>[0] {
  const issuedAt = Date.now()
  return { ...person, expiresAt: issuedAt, credential: { kind: 'GatewayToken', id: '', issuedAt } }
}

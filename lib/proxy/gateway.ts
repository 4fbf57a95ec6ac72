/**
 * Who is calling, where to, and which part of the gateway serves it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { GatewayError, asGatewayError, errorText } from '../errors/gateway-error.ts'
import { isSignedOut, type Identify } from '../identity/identify.ts'
import type { LiveAccess, Revocations } from '../identity/revocations.ts'
import type { User } from '../identity/user.ts'
import { UpstreamStatusError } from '../kube/api-client.ts'
import { isPodApply } from './debug/pod-apply.ts'
import { serveCreatePod } from './debug/serve-create-pod.ts'
import { serveDebugContainer } from './debug/serve-debug-container.ts'
import { isDiscovery, signedOutIdentity } from './discovery.ts'
import { identityOf } from './identity-of.ts'
import { parseImpersonation, type ImpersonationAsk } from './impersonation.ts'
import { draining, impersonationRefused, roadClosed } from './messages.ts'
import type { Exchange } from './exchange.ts'
import { passThrough } from './passthrough.ts'
import { parseRequestInfo, type RequestInfo } from './request-info.ts'
import { refuseUpgrade, sendStatus } from './respond.ts'
import { routeOf, type Route } from './route.ts'
import { serveAs } from './serve-as.ts'
import { serveLogSocket, serveLogs } from './serve-logs.ts'
import { serveProxy } from './serve-proxy.ts'
import { serveReview } from './serve-review.ts'
import { serveForward, type ForwardDeps } from './forward/serve-forward.ts'
import { serveToken } from './serve-token.ts'
import { serveStream, type StreamDeps, type UpgradeRequest } from './serve-stream.ts'
import { endInWords } from './watch-end.ts'

export interface GatewayDeps extends StreamDeps, ForwardDeps {
  identify: Identify
  revocations: Pick<Revocations, 'watch'>
  /** The gateway's own API under /podgate/. It authenticates by itself. */
  serveConsole(request: IncomingMessage, response: ServerResponse): void
}

export interface Gateway {
  onRequest(request: IncomingMessage, response: ServerResponse): void
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Streams that run now. */
  readonly active: number
  /** Resolves when the last stream has ended and is recorded. */
  drained(): Promise<void>
}

function upgradeRequired(): GatewayError {
  return new GatewayError(
    'BadRequest',
    'Upgrade request required: this path carries a stream; use kubectl exec, attach or port-forward',
    { id: 1201 },
  )
}

interface Incoming {
  info: RequestInfo
  route: Route
}

interface Identified {
  user: User
  /** Whom they want to act as. */
  as?: ImpersonationAsk
}

/** These end with words of their own when the person's access does; all else is ended here. */
const SESSIONS: ReadonlySet<Route['kind']> = new Set(['logs', 'proxy', 'token', 'debugContainer'])

function isSession({ kind }: Route): boolean {
  return SESSIONS.has(kind)
}

function locate(request: IncomingMessage, upgrade: boolean): Incoming {
  const info = parseRequestInfo(request.method ?? '', request.url ?? '')
  const route = routeOf(info, upgrade)
  const { namespace } = info
  return namespace !== undefined &&
    route.kind === 'passThrough' &&
    isPodApply(info, request.headers['content-type'])
    ? { info, route: { kind: 'createPod', namespace } }
    : { info, route }
}

export function createGateway(deps: GatewayDeps): Gateway {
  const running = new Set<Promise<void>>()

  async function identify(request: IncomingMessage, { kind }: Route): Promise<Identified> {
    const user = await deps.identify(request)
    const as = parseImpersonation(request.rawHeaders)
    if (as === undefined) return { user }
    if (kind !== 'passThrough' && kind !== 'review') throw impersonationRefused()
    return { user, as }
  }

  /** Work that the end of the gateway has to wait for. */
  async function hold(work: Promise<void>): Promise<void> {
    const held = work.catch(() => undefined)
    running.add(held)
    await held
    running.delete(held)
    await work
  }

  /** The kind of request, to be counted; undefined where its session has done so. */
  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<string | undefined> {
    const { info, route } = locate(request, false)
    if (route.kind === 'console') {
      deps.serveConsole(request, response)
      return 'console'
    }
    const identified = await identify(request, route).catch(async (error: unknown) => {
      if (!isSignedOut(error) || !isDiscovery(info)) throw error
      await passThrough(deps.client, info, signedOutIdentity(), request, response)
    })
    if (identified === undefined) return 'signedOut'
    const { user, as } = identified
    const live = deps.revocations.watch(user)
    const cut = (): void => endInWords(response, live.signal.reason)
    try {
      // Revoked a moment ago; while the gateway ends, what is asked for quickly is still answered.
      if (!deps.stop.aborted) live.signal.throwIfAborted()
      if (!isSession(route)) live.signal.addEventListener('abort', cut, { once: true })
      const exchange = { info, user, request, response }
      if (as === undefined) return await answer(scoped(live), exchange, route)
      await serveAs(scoped(live), exchange, as)
      return 'impersonate'
    } finally {
      live.release()
    }
  }

  /** What is over when the person's access is. */
  function scoped(live: LiveAccess): GatewayDeps {
    return { ...deps, stop: live.signal, onSession: (id) => live.name(id) }
  }

  /** The kind of request, as of `serve`. */
  async function answer(
    within: GatewayDeps,
    exchange: Exchange,
    route: Route,
  ): Promise<string | undefined> {
    if (isSession(route) && deps.stop.aborted) throw draining()
    switch (route.kind) {
      case 'refuse':
        throw roadClosed(route.what)
      case 'stream':
      case 'forward':
        throw upgradeRequired()
      case 'logs':
        await hold(serveLogs(within, exchange, route))
        return undefined
      case 'proxy':
        await hold(serveProxy(within, exchange, route))
        return undefined
      case 'token':
        await hold(serveToken(within, exchange, route))
        return undefined
      case 'review':
        await serveReview(deps, exchange)
        break
      case 'debugContainer':
        await hold(serveDebugContainer(within, exchange, route))
        break
      case 'createPod':
        await hold(serveCreatePod(within, exchange, route.namespace))
        break
      default: {
        const { info, user, request, response } = exchange
        await passThrough(deps.client, info, identityOf(user), request, response)
      }
    }
    return route.kind
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { info, route } = locate(request, true)
    const { user } = await identify(request, route)
    if (route.kind === 'refuse') throw roadClosed(route.what)
    if (deps.stop.aborted) throw draining()
    const upgradeRequest: UpgradeRequest = { request, socket, head, user, query: info.query }
    const live = deps.revocations.watch(user)
    const within = scoped(live)
    try {
      switch (route.kind) {
        case 'stream':
          await serveStream(within, upgradeRequest, route)
          return
        case 'logs':
          await serveLogSocket(within, upgradeRequest, info, route)
          return
        case 'forward':
          await serveForward(within, upgradeRequest, route)
          return
        default:
          throw roadClosed('an upgrade of this path')
      }
    } finally {
      live.release()
    }
  }

  function failed(error: unknown): GatewayError {
    const refusal = asGatewayError(error)
    if (refusal.reason === 'InternalError') {
      deps.log.error(
        { reason: errorText(error), cause: errorText(refusal.cause) },
        'request failed',
      )
    }
    return refusal
  }

  return {
    onRequest(request, response) {
      response.on('error', () => undefined)
      serve(request, response)
        .then((kind) => {
          const code = String(response.statusCode)
          if (kind !== undefined) deps.metrics.requests.inc({ code, kind })
        })
        .catch((error: unknown) => {
          const status = UpstreamStatusError.is(error) ? error.status : failed(error).toStatus()
          deps.metrics.requests.inc({ code: String(status.code ?? 500), kind: 'refused' })
          sendStatus(response, status)
        })
    },
    onUpgrade(request, socket, head) {
      const work = upgrade(request, socket, head).catch((error: unknown) => {
        const status = UpstreamStatusError.is(error) ? error.status : failed(error).toStatus()
        deps.metrics.requests.inc({ code: String(status.code ?? 500), kind: 'refused' })
        refuseUpgrade(socket, status)
      })
      running.add(work)
      work.finally(() => running.delete(work)).catch(() => undefined)
    },
    get active() {
      return running.size
    },
    async drained() {
      await Promise.all(running)
    },
  }
}

/**
 * Logs: over HTTP, as kubectl reads them, and as messages of a WebSocket.
 *
 * `kubectl logs` of several containers is one request, and one session, for each.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { negotiateLog, type LogProtocol } from '../streams/subprotocol.ts'
import { acceptWebSocketLog, type LogLeg } from '../websocket/log-leg.ts'
import type { Exchange } from './exchange.ts'
import { openResponse, type ByteSink, type SinkHandlers } from './http-exchange.ts'
import { parseLogOptions } from './log-options.ts'
import { conductLog, type LogClient, type LogDeps, type LogTarget } from './log-session.ts'
import type { RequestInfo } from './request-info.ts'
import { refuseUpgrade, sendStatus } from './respond.ts'
import type { UpgradeRequest } from './serve-stream.ts'

export type { LogDeps, LogTarget } from './log-session.ts'

/** Aborts when `stream` is closed, now or later. */
function goneSignal(stream: {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
}): AbortSignal {
  const gone = new AbortController()
  stream.once('close', () => gone.abort())
  if (stream.destroyed) gone.abort()
  return gone.signal
}

/** Rejects only while nothing has been opened yet; after that all is answered, logged and recorded. */
export async function serveLogs(
  deps: LogDeps,
  exchange: Exchange,
  target: LogTarget,
): Promise<void> {
  const { info, response } = exchange
  if (info.method !== 'GET') {
    response.setHeader('allow', 'GET')
    throw new GatewayError('MethodNotAllowed', 'logs are read by GET; use kubectl logs', {
      id: 1202,
    })
  }
  const options = parseLogOptions(info.query)
  const client: LogClient = {
    protocol: 'http',
    gone: goneSignal(response),
    open: (answer) => openResponse(response, answer),
    refuse: (status) => sendStatus(response, status),
  }
  await conductLog(deps, { exchange, target, options, client })
}

function sinkOf(leg: LogLeg): ByteSink {
  let handlers: SinkHandlers | undefined
  let isOver = false
  leg.onDrain = () => handlers?.onDrain()
  leg.onClose = () => {
    if (!isOver) handlers?.onGone()
    isOver = true
  }
  return {
    get bufferedBytes() {
      return leg.bufferedBytes
    },
    listen(to) {
      handlers = to
      if (isOver) to.onGone()
    },
    write(data) {
      if (!isOver) leg.write(data)
    },
    async finish() {
      if (isOver) return false
      isOver = true
      await leg.finish()
      return true
    },
    cut() {
      isOver = true
      leg.abort('the log ended before its time')
    },
  }
}

function socketClient(
  { request, socket, head }: UpgradeRequest,
  protocol: LogProtocol,
  pod: string,
): LogClient {
  let leg: LogLeg | undefined
  return {
    protocol: `websocket ${protocol}`.trim(),
    gone: goneSignal(socket),
    async open(answer) {
      if (answer.statusCode === 204) {
        throw new GatewayError('BadRequest', `pod ${pod} does not have a host assigned`, {
          id: 1020,
        })
      }
      leg = await acceptWebSocketLog(request, socket, head, protocol)
      return sinkOf(leg)
    },
    refuse(status) {
      if (leg === undefined) refuseUpgrade(socket, status)
      else leg.abort('the session was not opened')
    },
  }
}

/** The same for a client that asks for an upgrade. */
export async function serveLogSocket(
  deps: LogDeps,
  upgrade: UpgradeRequest,
  info: RequestInfo,
  target: LogTarget,
): Promise<void> {
  const { request, socket, user } = upgrade
  const negotiation = negotiateLog(request)
  if (negotiation.kind === 'refused') {
    const lines = negotiation.headers.map(([name, value]) => `${name}: ${value}`)
    refuseUpgrade(socket, negotiation.error.toStatus(), lines)
    return
  }
  const options = parseLogOptions(info.query)
  const client = socketClient(upgrade, negotiation.protocol, target.pod)
  await conductLog(deps, { exchange: { info, request, user }, target, options, client })
}

/**
 * Is this request a stream we speak, and in which protocol version? PURE.
 *
 * Sources: k8s.io/apimachinery pkg/util/httpstream (Handshake) and
 * k8s.io/apiserver pkg/util/wsstream for what each refusal looks like; kubectl
 * retries any refused WebSocket as SPDY, so both wires are refused alike.
 * May import: errors.
 */
import { GatewayError } from '../errors/gateway-error.ts'

/** What a client may choose from over WebSocket. v4 cannot half-close stdin; its base64 form is text. */
export const WEBSOCKET_PROTOCOLS = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
] as const
export type WebSocketProtocol = (typeof WEBSOCKET_PROTOCOLS)[number]

/** v5 is offered by kubectl over SPDY too, but no real server has ever chosen it there. */
export const SPDY_PROTOCOLS = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
] as const
export type SpdyProtocol = (typeof SPDY_PROTOCOLS)[number]

/** Port-forward over SPDY, and what the tunnel carries. */
export const FORWARD_PROTOCOL = 'portforward.k8s.io'
/** KEP-4006; no token of RFC 7230, which some libraries insist on. */
export const FORWARD_TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io'
/** Channels in pairs, one pair for each port of the query; the empty name is no subprotocol at all. */
export const FORWARD_CHANNEL_PROTOCOLS = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'] as const
export type ForwardChannelProtocol = '' | (typeof FORWARD_CHANNEL_PROTOCOLS)[number]

/** Logs over WebSocket: k8s.io/apiserver pkg/util/wsstream stream.go (NewDefaultReaderProtocols). */
export const LOG_PROTOCOLS = ['binary.k8s.io', 'base64.binary.k8s.io'] as const
export type LogProtocol = '' | (typeof LOG_PROTOCOLS)[number]

export const PROTOCOL_HEADER = 'X-Stream-Protocol-Version'
export const ACCEPTED_PROTOCOLS_HEADER = 'X-Accepted-Stream-Protocol-Versions'

/** The parts of node's IncomingMessage that matter here. */
export interface UpgradeRequest {
  method?: string | undefined
  headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface Refused {
  kind: 'refused'
  error: GatewayError
  /** Header lines that belong to the refusal, one entry per line. */
  headers: [name: string, value: string][]
}

export type Negotiation =
  | { kind: 'websocket'; protocol: WebSocketProtocol }
  | { kind: 'spdy'; protocol: SpdyProtocol }
  | Refused

export type ForwardNegotiation =
  | { kind: 'spdy'; protocol: typeof FORWARD_PROTOCOL }
  | { kind: 'tunnel'; protocol: typeof FORWARD_TUNNEL_PROTOCOL }
  | { kind: 'channels'; protocol: ForwardChannelProtocol }
  | Refused

export type LogNegotiation = { kind: 'websocket'; protocol: LogProtocol } | Refused

/** RFC 6455 section 4.1: 16 random bytes in base64. */
const WEBSOCKET_KEY = /^[+/0-9A-Za-z]{22}==$/

function refused(
  reason: 'BadRequest' | 'Forbidden' | 'MethodNotAllowed',
  id: number,
  message: string,
  headers: [string, string][] = [],
): Refused {
  return { kind: 'refused', error: new GatewayError(reason, message, { id }), headers }
}

function single(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(', ') : (value ?? '')
}

/** Node joins repeated header lines with ", "; one comma-separated line means the same. */
function listed(value: string | string[] | undefined): string[] {
  return single(value)
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** The first thing the client named that we have too: its order decides, not ours. */
function firstShared<T extends string>(offered: string[], ours: readonly T[]): T | undefined {
  for (const name of offered) {
    const match = ours.find((own) => own === name)
    if (match !== undefined) return match
  }
  return undefined
}

/** Which wire is asked for; the words for somebody who asked for none name `commands`. */
function wireOf(
  { headers }: UpgradeRequest,
  commands: string,
): { wire: 'websocket' | 'spdy' } | Refused {
  const upgrade = single(headers['upgrade']).trim().toLowerCase()
  const connection = single(headers['connection']).toLowerCase()
  if (upgrade === '' || !connection.includes('upgrade')) {
    return refused(
      'BadRequest',
      1201,
      `Upgrade request required: this path carries a stream; use ${commands}`,
    )
  }
  // A list, h2c or anything else would make two servers disagree about what follows
  // (kubernetes#72112): only the two exact words pass.
  if (upgrade === 'websocket') return { wire: 'websocket' }
  if (upgrade === 'spdy/3.1') return { wire: 'spdy' }
  return refused(
    'BadRequest',
    1201,
    'this gateway upgrades to "websocket" or "SPDY/3.1" and to nothing else; use a stock kubectl',
  )
}

/** Decides the wire and the protocol of one request for exec or attach, or how to refuse it. */
export function negotiate(request: UpgradeRequest): Negotiation {
  const asked = wireOf(request, 'kubectl exec or kubectl attach')
  if ('kind' in asked) return asked
  const { method, headers } = request
  if (asked.wire === 'spdy') return negotiateSpdy(method, headers, SPDY_PROTOCOLS)
  const fault = webSocketFault(method, headers)
  if (fault !== undefined) return fault
  const protocol = firstShared(listed(headers['sec-websocket-protocol']), WEBSOCKET_PROTOCOLS)
  if (protocol !== undefined) return { kind: 'websocket', protocol }
  return noCommonSubprotocol(WEBSOCKET_PROTOCOLS, 'use kubectl 1.30 or newer, or SPDY')
}

/** The same for port-forward: SPDY, the same in a WebSocket, or the old channels of a WebSocket. */
export function negotiateForward(request: UpgradeRequest): ForwardNegotiation {
  const asked = wireOf(request, 'kubectl port-forward')
  if ('kind' in asked) return asked
  const { method, headers } = request
  if (asked.wire === 'spdy') return negotiateSpdy(method, headers, [FORWARD_PROTOCOL])
  const fault = webSocketFault(method, headers)
  if (fault !== undefined) return fault
  const offered = listed(headers['sec-websocket-protocol'])
  if (offered.length === 0) return { kind: 'channels', protocol: '' }
  const ours = [FORWARD_TUNNEL_PROTOCOL, ...FORWARD_CHANNEL_PROTOCOLS] as const
  const protocol = firstShared(offered, ours)
  if (protocol === undefined) {
    return noCommonSubprotocol(ours, 'use kubectl 1.31 or newer, or SPDY')
  }
  return protocol === FORWARD_TUNNEL_PROTOCOL
    ? { kind: 'tunnel', protocol }
    : { kind: 'channels', protocol }
}

/** The same for logs, which kubectl reads over plain HTTP and some web consoles over a WebSocket. */
export function negotiateLog(request: UpgradeRequest): LogNegotiation {
  const asked = wireOf(request, 'kubectl logs')
  if ('kind' in asked) return asked
  const { method, headers } = request
  if (asked.wire === 'spdy') {
    return refused('BadRequest', 1201, 'logs are read over HTTP or a WebSocket; use kubectl logs')
  }
  const fault = webSocketFault(method, headers)
  if (fault !== undefined) return fault
  const offered = listed(headers['sec-websocket-protocol'])
  if (offered.length === 0) return { kind: 'websocket', protocol: '' }
  const protocol = firstShared(offered, LOG_PROTOCOLS)
  if (protocol !== undefined) return { kind: 'websocket', protocol }
  return noCommonSubprotocol(LOG_PROTOCOLS, 'or name none, or use kubectl logs')
}

/** What makes a request no WebSocket handshake (RFC 6455 section 4.2.1). */
function webSocketFault(
  method: string | undefined,
  headers: UpgradeRequest['headers'],
): Refused | undefined {
  if (method !== 'GET') {
    return refused('MethodNotAllowed', 1202, 'a WebSocket is opened by GET', [['Allow', 'GET']])
  }
  if (single(headers['sec-websocket-version']).trim() !== '13') {
    return refused('BadRequest', 1204, 'Sec-WebSocket-Version must be 13 (RFC 6455)', [
      ['Sec-WebSocket-Version', '13'],
    ])
  }
  if (!WEBSOCKET_KEY.test(single(headers['sec-websocket-key']).trim())) {
    return refused('BadRequest', 1204, 'Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455)')
  }
  return undefined
}

/** The offer is never repeated in the message: browsers carry bearer tokens in it. */
function noCommonSubprotocol(ours: readonly string[], help: string): Refused {
  const names = `${ours.slice(0, -1).join(', ')} and ${ours.at(-1)}`
  return refused(
    'Forbidden',
    1203,
    `no WebSocket subprotocol in common: this gateway speaks ${names}; ${help}`,
  )
}

function negotiateSpdy<Protocol extends string>(
  method: string | undefined,
  headers: UpgradeRequest['headers'],
  ours: readonly Protocol[],
): { kind: 'spdy'; protocol: Protocol } | Refused {
  if (method !== 'POST' && method !== 'GET') {
    return refused('MethodNotAllowed', 1202, 'a SPDY stream is opened by POST or GET', [
      ['Allow', 'GET, POST'],
    ])
  }
  const offered = listed(headers[PROTOCOL_HEADER.toLowerCase()])
  if (offered.length === 0) {
    return refused('BadRequest', 1203, `${PROTOCOL_HEADER} is required`)
  }
  const protocol = firstShared(offered, ours)
  if (protocol !== undefined) return { kind: 'spdy', protocol }
  return refused(
    'Forbidden',
    1203,
    `no stream protocol in common: this gateway speaks ${ours.join(', ')} over SPDY`,
    ours.map((name) => [ACCEPTED_PROTOCOLS_HEADER, name]),
  )
}

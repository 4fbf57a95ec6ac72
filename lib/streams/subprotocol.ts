/**
 * Is this request a stream we speak, and in which protocol version? PURE.
 *
 * Sources: k8s.io/apimachinery pkg/util/httpstream (Handshake) and
 * k8s.io/apiserver pkg/util/wsstream for what each refusal looks like; kubectl
 * retries any refused WebSocket as SPDY, so both wires are refused alike.
 * May import: errors.
 */
import { GatewayError } from '../errors/gateway-error.ts'

/** What a client may choose from over WebSocket. v4 cannot half-close stdin. */
export const WEBSOCKET_PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const
export type WebSocketProtocol = (typeof WEBSOCKET_PROTOCOLS)[number]

/** v5 is offered by kubectl over SPDY too, but no real server has ever chosen it there. */
export const SPDY_PROTOCOLS = [
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
] as const
export type SpdyProtocol = (typeof SPDY_PROTOCOLS)[number]

export const PROTOCOL_HEADER = 'X-Stream-Protocol-Version'
export const ACCEPTED_PROTOCOLS_HEADER = 'X-Accepted-Stream-Protocol-Versions'

/** The parts of node's IncomingMessage that matter here. */
export interface UpgradeRequest {
  method?: string | undefined
  headers: Readonly<Record<string, string | string[] | undefined>>
}

export type Negotiation =
  | { kind: 'websocket'; protocol: WebSocketProtocol }
  | { kind: 'spdy'; protocol: SpdyProtocol }
  | {
      kind: 'refused'
      error: GatewayError
      /** Header lines that belong to the refusal, one entry per line. */
      headers: [name: string, value: string][]
    }

/** RFC 6455 section 4.1: 16 random bytes in base64. */
const WEBSOCKET_KEY = /^[+/0-9A-Za-z]{22}==$/

function refused(
  reason: 'BadRequest' | 'Forbidden' | 'MethodNotAllowed',
  id: number,
  message: string,
  headers: [string, string][] = [],
): Negotiation {
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

/** Decides the wire and the protocol of one request, or how to refuse it. */
export function negotiate(request: UpgradeRequest): Negotiation {
  const { method, headers } = request
  const upgrade = single(headers['upgrade']).trim().toLowerCase()
  const connection = single(headers['connection']).toLowerCase()
  if (upgrade === '' || !connection.includes('upgrade')) {
    return refused(
      'BadRequest',
      1201,
      'Upgrade request required: this path carries a stream; use kubectl exec or kubectl attach',
    )
  }
  // A list, h2c or anything else would make two servers disagree about what follows
  // (kubernetes#72112): only the two exact words pass.
  if (upgrade === 'websocket') return negotiateWebSocket(method, headers)
  if (upgrade === 'spdy/3.1') return negotiateSpdy(method, headers)
  return refused(
    'BadRequest',
    1201,
    'this gateway upgrades to "websocket" or "SPDY/3.1" and to nothing else; use a stock kubectl',
  )
}

function negotiateWebSocket(
  method: string | undefined,
  headers: UpgradeRequest['headers'],
): Negotiation {
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
  // The offer is never repeated in the message: browsers carry bearer tokens in it.
  const protocol = firstShared(listed(headers['sec-websocket-protocol']), WEBSOCKET_PROTOCOLS)
  if (protocol !== undefined) return { kind: 'websocket', protocol }
  return refused(
    'Forbidden',
    1203,
    `no WebSocket subprotocol in common: this gateway speaks ${WEBSOCKET_PROTOCOLS.join(' and ')}; use kubectl 1.30 or newer, or SPDY`,
  )
}

function negotiateSpdy(
  method: string | undefined,
  headers: UpgradeRequest['headers'],
): Negotiation {
  if (method !== 'POST' && method !== 'GET') {
    return refused('MethodNotAllowed', 1202, 'a SPDY stream is opened by POST or GET', [
      ['Allow', 'GET, POST'],
    ])
  }
  const offered = listed(headers[PROTOCOL_HEADER.toLowerCase()])
  if (offered.length === 0) {
    return refused('BadRequest', 1203, `${PROTOCOL_HEADER} is required`)
  }
  const protocol = firstShared(offered, SPDY_PROTOCOLS)
  if (protocol !== undefined) return { kind: 'spdy', protocol }
  return refused(
    'Forbidden',
    1203,
    `no stream protocol in common: this gateway speaks ${SPDY_PROTOCOLS.join(', ')} over SPDY`,
    SPDY_PROTOCOLS.map((name) => [ACCEPTED_PROTOCOLS_HEADER, name]),
  )
}

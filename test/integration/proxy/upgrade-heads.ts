/** The header lines of an upgrade to a stream, as kubectl sends them. */

export const SPDY: readonly string[] = ['Connection: Upgrade', 'Upgrade: SPDY/3.1']
export const V4 = 'X-Stream-Protocol-Version: v4.channel.k8s.io'

export const WEBSOCKET: readonly string[] = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
export const V5 = 'Sec-WebSocket-Protocol: v5.channel.k8s.io'

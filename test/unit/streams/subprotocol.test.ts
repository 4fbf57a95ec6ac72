import { describe, expect, it } from '@jest/globals'

import {
  negotiate,
  negotiateForward,
  negotiateLog,
  type UpgradeRequest,
} from '../../../lib/streams/subprotocol.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

function webSocket(
  protocols: string | undefined,
  changes: Record<string, string | undefined> = {},
): UpgradeRequest {
  return {
    method: 'GET',
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': KEY,
      'sec-websocket-protocol': protocols,
      ...changes,
    },
  }
}

function spdy(
  protocols: string | string[] | undefined,
  changes: Record<string, string> = {},
  method = 'POST',
): UpgradeRequest {
  return {
    method,
    headers: {
      connection: 'Upgrade',
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': protocols,
      ...changes,
    },
  }
}

describe('negotiate chooses', () => {
  it.each([
    {
      name: 'v5 for kubectl over WebSocket',
      offer: 'v5.channel.k8s.io',
      want: 'v5.channel.k8s.io',
    },
    { name: 'v4 for older clients', offer: 'v4.channel.k8s.io', want: 'v4.channel.k8s.io' },
    {
      name: 'v4 as text for clients that can send no bytes',
      offer: 'v4.base64.channel.k8s.io',
      want: 'v4.base64.channel.k8s.io',
    },
    {
      name: "the client's first, not ours",
      offer: 'v4.channel.k8s.io, v5.channel.k8s.io',
      want: 'v4.channel.k8s.io',
    },
    {
      name: 'the first it knows among strangers',
      offer: 'base64url.bearer.authorization.k8s.io.c2VjcmV0,channel.k8s.io,v5.channel.k8s.io',
      want: 'v5.channel.k8s.io',
    },
  ])('$name', ({ offer, want }) => {
    expect(negotiate(webSocket(offer))).toEqual({ kind: 'websocket', protocol: want })
  })

  it.each([
    {
      name: 'v4 for kubectl over SPDY, which offers v5 first',
      offer: 'v5.channel.k8s.io, v4.channel.k8s.io, v3.channel.k8s.io, channel.k8s.io',
      want: 'v4.channel.k8s.io',
    },
    { name: 'v2 when it is all there is', offer: 'v2.channel.k8s.io', want: 'v2.channel.k8s.io' },
    {
      name: 'from an unjoined list of lines',
      offer: ['v3.channel.k8s.io', 'v4.channel.k8s.io'],
      want: 'v3.channel.k8s.io',
    },
  ])('$name', ({ offer, want }) => {
    expect(negotiate(spdy(offer))).toEqual({ kind: 'spdy', protocol: want })
    expect(negotiate(spdy(offer, {}, 'GET'))).toEqual({ kind: 'spdy', protocol: want })
  })

  it.each(['WebSocket', 'WEBSOCKET', ' websocket '])('a WebSocket for Upgrade: %j', (upgrade) => {
    const request = webSocket('v5.channel.k8s.io', { upgrade, connection: 'keep-alive, UPGRADE' })
    expect(negotiate(request).kind).toBe('websocket')
  })

  it.each(['spdy/3.1', 'Spdy/3.1'])('SPDY for Upgrade: %j', (upgrade) => {
    expect(negotiate(spdy('v4.channel.k8s.io', { upgrade })).kind).toBe('spdy')
  })
})

describe('negotiate refuses', () => {
  it.each([
    ...['h2c', 'TLS/1.0', 'foo', 'SPDY/3', 'SPDY/3.10', 'websocket, SPDY/3.1', 'websocket,h2c'].map(
      (upgrade) => ({
        name: `Upgrade: ${upgrade}`,
        request: webSocket('v5.channel.k8s.io', { upgrade }),
        code: 400,
        says: /nothing else/,
      }),
    ),
    {
      name: 'a plain request',
      request: { method: 'POST', headers: {} },
      code: 400,
      says: /Upgrade request required/,
    },
    {
      name: 'an Upgrade without Connection: Upgrade',
      request: webSocket('v5.channel.k8s.io', { connection: 'keep-alive' }),
      code: 400,
      says: /Upgrade request required/,
    },
    {
      name: 'a WebSocket by POST',
      request: { ...webSocket('v5.channel.k8s.io'), method: 'POST' },
      code: 405,
      says: /GET/,
    },
    {
      name: 'SPDY by PUT',
      request: spdy('v4.channel.k8s.io', {}, 'PUT'),
      code: 405,
      says: /POST or GET/,
    },
    {
      name: 'a WebSocket of another version',
      request: webSocket('v5.channel.k8s.io', { 'sec-websocket-version': '8' }),
      code: 400,
      says: /must be 13/,
    },
    ...[undefined, '', 'short', `${KEY}${KEY}`].map((key) => ({
      name: `a WebSocket with the key ${JSON.stringify(key)}`,
      request: webSocket('v5.channel.k8s.io', { 'sec-websocket-key': key }),
      code: 400,
      says: /Sec-WebSocket-Key/,
    })),
    ...[undefined, '', 'channel.k8s.io', 'base64.channel.k8s.io', 'V5.channel.k8s.io'].map(
      (offer) => ({
        name: `the WebSocket offer ${JSON.stringify(offer)}`,
        request: webSocket(offer),
        code: 403,
        says: /v5\.channel\.k8s\.io/,
      }),
    ),
    {
      name: 'SPDY without an offer',
      request: spdy(undefined),
      code: 400,
      says: /^X-Stream-Protocol-Version is required$/,
    },
    {
      name: 'SPDY v1 alone',
      request: spdy('channel.k8s.io'),
      code: 403,
      says: /v4\.channel\.k8s\.io, v3/,
    },
  ])('$name with $code', ({ request, code, says }) => {
    const result = negotiate(request)
    if (result.kind !== 'refused') throw new Error(`chose ${result.protocol}`)
    expect(result.error.code).toBe(code)
    expect(result.error.message).toMatch(says)
  })

  it('SPDY without overlap by one header line for each protocol it takes', () => {
    expect(negotiate(spdy('v9.channel.k8s.io'))).toMatchObject({
      headers: [
        ['X-Accepted-Stream-Protocol-Versions', 'v4.channel.k8s.io'],
        ['X-Accepted-Stream-Protocol-Versions', 'v3.channel.k8s.io'],
        ['X-Accepted-Stream-Protocol-Versions', 'v2.channel.k8s.io'],
      ],
    })
  })

  it('without ever repeating the offer, in which browsers put bearer tokens', () => {
    const result = negotiate(webSocket('base64url.bearer.authorization.k8s.io.c2VjcmV0'))
    if (result.kind !== 'refused') throw new Error('not refused')
    expect(JSON.stringify(result.error.toStatus())).not.toContain('c2VjcmV0')
  })
})

const TUNNEL = 'SPDY/3.1+portforward.k8s.io'

describe('negotiateForward', () => {
  it.each([
    { offer: undefined, kind: 'channels', protocol: '' },
    { offer: 'v4.channel.k8s.io', kind: 'channels', protocol: 'v4.channel.k8s.io' },
    { offer: 'v4.base64.channel.k8s.io', kind: 'channels', protocol: 'v4.base64.channel.k8s.io' },
    { offer: TUNNEL, kind: 'tunnel', protocol: TUNNEL },
    { offer: `v9.channel.k8s.io, ${TUNNEL}`, kind: 'tunnel', protocol: TUNNEL },
  ])('takes the WebSocket offer $offer', ({ offer, kind, protocol }) => {
    expect(negotiateForward(webSocket(offer))).toEqual({ kind, protocol })
  })

  it.each(['POST', 'GET'])('takes SPDY by %s', (method) => {
    expect(negotiateForward(spdy('portforward.k8s.io', {}, method))).toEqual({
      kind: 'spdy',
      protocol: 'portforward.k8s.io',
    })
  })

  it.each([
    { name: 'no upgrade', request: { method: 'POST', headers: {} }, id: 1201 },
    { name: 'PUT', request: spdy('portforward.k8s.io', {}, 'PUT'), id: 1202 },
    { name: 'a protocol of exec over SPDY', request: spdy('v4.channel.k8s.io'), id: 1203 },
    { name: 'a tunnel of something else', request: webSocket('SPDY/3.1+exec.k8s.io'), id: 1203 },
    { name: 'v5, which is of exec', request: webSocket('v5.channel.k8s.io'), id: 1203 },
    {
      name: 'a WebSocket without a key',
      request: webSocket(TUNNEL, { 'sec-websocket-key': undefined }),
      id: 1204,
    },
  ])('refuses $name with $id', ({ request, id }) => {
    expect(negotiateForward(request)).toMatchObject({ kind: 'refused', error: { id } })
  })
})

describe('negotiateLog', () => {
  it.each([
    { offer: undefined, protocol: '' },
    { offer: 'binary.k8s.io', protocol: 'binary.k8s.io' },
    { offer: 'x.k8s.io, base64.binary.k8s.io', protocol: 'base64.binary.k8s.io' },
  ])('takes the offer $offer', ({ offer, protocol }) => {
    expect(negotiateLog(webSocket(offer))).toEqual({ kind: 'websocket', protocol })
  })

  it.each([
    { name: 'SPDY', request: spdy('v4.channel.k8s.io'), id: 1201 },
    { name: 'no upgrade', request: { method: 'GET', headers: {} }, id: 1201 },
    { name: 'POST', request: { ...webSocket(undefined), method: 'POST' }, id: 1202 },
    { name: 'the protocols of exec', request: webSocket('v4.channel.k8s.io'), id: 1203 },
  ])('refuses $name with $id', ({ request, id }) => {
    expect(negotiateLog(request)).toMatchObject({ kind: 'refused', error: { id } })
  })
})

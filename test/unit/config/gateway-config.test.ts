import { describe, expect, it } from '@jest/globals'

import { parseGatewayConfig } from '../../../lib/config/gateway-config.ts'
import { DEFAULT_STREAM_LIMITS } from '../../../lib/streams/stream-limits.ts'

const GOOD = `
listen: {certFile: tls.crt, keyFile: tls.key}
cluster: {name: prod}
mongodb: {uri: "mongodb://127.0.0.1:27017"}
oidc: [{issuer: "https://idp.example", audience: podgate}]
`

it('fills in defaults', () => {
  expect(parseGatewayConfig(GOOD, 'f')).toMatchObject({
    listen: { host: '0.0.0.0', port: 8443 },
    metrics: { host: '127.0.0.1', port: 9090 },
    oidc: [{ usernameClaim: 'sub', groupsClaim: 'groups', usernamePrefix: '' }],
    auditors: { groups: [] },
    streams: DEFAULT_STREAM_LIMITS,
    logLevel: 'info',
  })
})

it('takes every limit of streams', () => {
  const text = `${GOOD}
streams:
  handshakeTimeout: 5s
  openTimeout: 6s
  pingInterval: 7s
  deadAfter: 1m
  maxMessageBytes: 131072
  portForward: {maxConnections: 3, maxConnectionBytes: 65536, maxSessionBytes: 131072, stuckTimeout: 8s, pairTimeout: 9s}
`
  expect(parseGatewayConfig(text, 'f').streams).toEqual({
    handshakeMs: 5000,
    openMs: 6000,
    pingMs: 7000,
    deadAfterMs: 60_000,
    maxMessageBytes: 131_072,
    forward: {
      maxConnections: 3,
      maxConnectionBytes: 65_536,
      maxSessionBytes: 131_072,
      stuckMs: 8000,
      pairTimeoutMs: 9000,
      replyTimeoutMs: 6000,
    },
  })
})

describe('a bad file is refused, naming the field', () => {
  it.each([
    ['a typing error', GOOD.replace('cluster:', 'clustr:'), 'clustr'],
    ['an unknown nested field', GOOD.replace('{name: prod}', '{name: prod, nmae: x}'), 'nmae'],
    [
      'an http issuer',
      GOOD.replace('https://idp', 'http://idp'),
      'oidc[0].issuer: must be an https:// URL',
    ],
    ['no issuer', GOOD.replace(/oidc: .*/, 'oidc: []'), 'oidc: needs at least one issuer'],
    ['a port out of range', GOOD.replace('certFile', 'port: 70000, certFile'), 'listen.port'],
    [
      'a wrong store',
      GOOD.replace('mongodb://', 'postgres://'),
      'mongodb.uri: must start with mongodb://',
    ],
    [
      'a time that is none',
      `${GOOD}streams: {openTimeout: soon}`,
      'streams.openTimeout: must be a duration between 1s and 5m, such as 30s',
    ],
    [
      'a peer taken for dead before it could answer',
      `${GOOD}streams: {pingInterval: 1m, deadAfter: 1m}`,
      'streams.deadAfter: must be at least twice pingInterval',
    ],
    ['no YAML', 'a: [', 'not valid YAML'],
    ['an empty file', '', 'the file'],
  ])('%s', (_name, text, want) => {
    expect(() => parseGatewayConfig(text, 'gateway.yaml')).toThrow(want)
  })
})

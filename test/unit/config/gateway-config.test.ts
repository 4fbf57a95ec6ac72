import { describe, expect, it } from '@jest/globals'

import { parseGatewayConfig } from '../../../lib/config/gateway-config.ts'
import { SAFE_ALGORITHMS } from '../../../lib/identity/algorithms.ts'
import { withDefaults } from '../../../lib/identity/user.ts'
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
    oidc: [
      {
        usernameClaim: 'sub',
        groupsClaim: 'groups',
        usernamePrefix: '',
        uidClaim: 'sub',
        extraClaims: {},
        clockSkewSeconds: 60,
      },
    ],
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

/** The good file with more about its issuer. */
function withIssuer(fields: string): string {
  return GOOD.replace('audience: podgate', `audience: podgate, ${fields}`)
}

it('takes all there is to say about an issuer, and the gateway has a use for it', () => {
  const text = withIssuer(
    'uidClaim: oid, extraClaims: {example.com/department: dept, a.b.example/cost-centre_2: costs}, ' +
      'algorithms: [ES384, EdDSA], clockSkew: 1m30s',
  )
  const { oidc } = parseGatewayConfig(text, 'f')
  expect(oidc).toMatchObject([
    {
      uidClaim: 'oid',
      extraClaims: { 'example.com/department': 'dept', 'a.b.example/cost-centre_2': 'costs' },
      algorithms: ['ES384', 'EdDSA'],
      clockSkewSeconds: 90,
    },
  ])
  expect(oidc.map(withDefaults)).toMatchObject([
    { uidClaim: 'oid', algorithms: ['ES384', 'EdDSA'], clockSkewSeconds: 90 },
  ])
})

it('leaves the algorithms to the identity where none are named', () => {
  expect(parseGatewayConfig(GOOD, 'f').oidc.map(withDefaults)).toMatchObject([
    { algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'] },
  ])
})

it('allows clocks no difference at all', () => {
  const { oidc } = parseGatewayConfig(withIssuer('clockSkew: 0s'), 'f')
  expect(oidc[0]?.clockSkewSeconds).toBe(0)
})

it('takes every algorithm that is safe', () => {
  for (const algorithm of SAFE_ALGORITHMS) {
    const { oidc } = parseGatewayConfig(withIssuer(`algorithms: [${algorithm}]`), 'f')
    expect(oidc[0]?.algorithms).toEqual([algorithm])
  }
})

describe('an extra of a person is refused, naming it:', () => {
  it.each([
    ['without a domain', 'department', 'a domain of yours'],
    ['in capitals', 'Example.com/department', 'in lower case'],
    ['with a name in capitals', 'example.com/Department', 'in lower case'],
    ['without a name', 'example.com/', 'a domain of yours'],
    ['with a domain that is none', '-a.com/x', 'a domain of yours'],
    ['with an empty part in its domain', 'a..com/x', 'a domain of yours'],
    ['with a domain that is too long', `${'a'.repeat(254)}/x`, 'a domain of yours'],
    ['with a name that is too long', `a.com/${'x'.repeat(64)}`, 'a domain of yours'],
    ['with a second slash', 'example.com/a/b', 'a domain of yours'],
    ['with an escape', 'example.com/a%2Fb', 'a domain of yours'],
    ['with a space', 'example.com/a b', 'a domain of yours'],
    ['with a line end', 'example.com/x\\n', 'a domain of yours'],
    ['with a colon', 'example.com/a:b', 'a domain of yours'],
    ['with a letter outside ASCII', 'exämple.com/x', 'a domain of yours'],
    ["with the gateway's domain", 'podgate.dev/session', 'is reserved'],
    ["below the gateway's domain", 'x.podgate.dev/session', 'is reserved'],
    ["with Kubernetes' domain", 'kubernetes.io/x', 'is reserved'],
    ["below Kubernetes' domain", 'authentication.kubernetes.io/credential-id', 'is reserved'],
    ["below Kubernetes' other domain", 'authentication.k8s.io/x', 'is reserved'],
  ])('%s: %s', (_name, key, want) => {
    const parse = (): unknown =>
      parseGatewayConfig(withIssuer(`extraClaims: {"${key}": dept}`), 'gateway.yaml')
    expect(parse).toThrow(want)
    expect(parse).toThrow('oidc[0].extraClaims.')
  })

  it('and not for a domain that only ends alike', () => {
    const { oidc } = parseGatewayConfig(withIssuer('extraClaims: {notpodgate.dev/x: dept}'), 'f')
    expect(oidc[0]?.extraClaims).toEqual({ 'notpodgate.dev/x': 'dept' })
  })
})

it.each([
  'https://kubernetes.default.svc',
  'kubernetes',
  'https://kubernetes.default.svc.cluster.local',
  'api',
])('lets no service account in with %s, which is for the API server', (audience) => {
  const text = `${GOOD}\nserviceAccounts: {audiences: ["${audience}"]}`
  expect(() => parseGatewayConfig(text, 'f')).toThrow(/audiences\[0\]: is an audience of the API/)
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
    [
      'a signature by a shared secret',
      withIssuer('algorithms: [RS256, HS256]'),
      'oidc[0].algorithms[1]',
    ],
    ['no signature', withIssuer('algorithms: [none]'), 'oidc[0].algorithms[0]'],
    ['an empty list of signatures', withIssuer('algorithms: []'), 'oidc[0].algorithms'],
    [
      'clocks that may differ by more than 5 minutes',
      withIssuer('clockSkew: 5m1s'),
      'oidc[0].clockSkew: must be a duration between 0s and 5m, such as 60s',
    ],
    ['a claim without a name', withIssuer('uidClaim: ""'), 'oidc[0].uidClaim'],
    ['an extra of no claim', withIssuer('extraClaims: {a.b/c: ""}'), 'oidc[0].extraClaims'],
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

describe('oidc[].accessTokens', () => {
  it('has names of a kind of its own', () => {
    const { oidc } = parseGatewayConfig(withIssuer('accessTokens: {audience: "api://gate"}'), 'f')
    expect(oidc[0]?.accessTokens).toEqual({
      audience: 'api://gate',
      usernameClaim: 'sub',
      usernamePrefix: 'client:',
    })
  })

  it.each([
    ['the audience of ID tokens', '{audience: podgate}', 'accessTokens.audience: must not be that'],
    ['the names of people', '{audience: x, usernamePrefix: ""}', 'accessTokens.usernamePrefix'],
    ['no audience', '{}', 'accessTokens.audience'],
  ])('cannot have %s', (_name, rules, words) => {
    const text = withIssuer(`accessTokens: ${rules}`)
    expect(() => parseGatewayConfig(text, 'f')).toThrow(words)
  })

  it('cannot have the prefix of people', () => {
    const text = withIssuer(
      'usernamePrefix: "x:", accessTokens: {audience: a, usernamePrefix: "x:"}',
    )
    expect(() => parseGatewayConfig(text, 'f')).toThrow('must not be that of people')
  })
})

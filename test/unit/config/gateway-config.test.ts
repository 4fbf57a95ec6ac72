import { describe, expect, it } from '@jest/globals'

import { parseGatewayConfig } from '../../../lib/config/gateway-config.ts'

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
    logLevel: 'info',
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
    ['no YAML', 'a: [', 'not valid YAML'],
    ['an empty file', '', 'the file'],
  ])('%s', (_name, text, want) => {
    expect(() => parseGatewayConfig(text, 'gateway.yaml')).toThrow(want)
  })
})

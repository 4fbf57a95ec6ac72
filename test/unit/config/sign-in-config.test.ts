import { describe, expect, it } from '@jest/globals'

import { parseGatewayConfig } from '../../../lib/config/gateway-config.ts'

function withSignIn(signIn: string): string {
  return `
listen: {certFile: tls.crt, keyFile: tls.key}
cluster: {name: prod}
mongodb: {uri: "mongodb://127.0.0.1:27017"}
oidc: [{issuer: "https://idp.example", audience: podgate}]
signIn: ${signIn}
`
}

const OIDC = 'oidc: {issuer: "https://idp.example", clientId: gate}'
const URL_ = 'url: "https://gate.example"'

describe('signIn', () => {
  it('is left out where people come with tokens of another program', () => {
    const text = withSignIn('').replace('signIn: \n', '')
    expect(parseGatewayConfig(text, 'f').signIn).toBeUndefined()
  })

  it('has defaults for all but the address and the providers', () => {
    const { signIn } = parseGatewayConfig(
      withSignIn(`{url: "https://gate.example:8443/", providers: [{name: corp, ${OIDC}}]}`),
      'f',
    )
    expect(signIn).toEqual({
      url: 'https://gate.example:8443',
      tokenLifetime: 3_600_000,
      sessionLifetime: 43_200_000,
      recheck: 300_000,
      providers: [
        {
          name: 'corp',
          oidc: {
            issuer: 'https://idp.example',
            clientId: 'gate',
            scopes: ['openid', 'offline_access'],
            parameters: {},
          },
        },
      ],
    })
  })

  it('takes SAML beside OpenID Connect', () => {
    const saml = 'saml: {metadataFile: idp.xml, extraAttributes: {example.com/team: team}}'
    const { signIn } = parseGatewayConfig(
      withSignIn(`{${URL_}, providers: [{name: corp, ${OIDC}}, {name: old, ${saml}}]}`),
      'f',
    )
    expect(signIn?.providers[1]).toEqual({
      name: 'old',
      saml: {
        metadataFile: 'idp.xml',
        usernamePrefix: '',
        groupsAttribute: 'groups',
        groupsPrefix: '',
        extraAttributes: { 'example.com/team': 'team' },
        clockSkewSeconds: 60,
      },
    })
  })

  it.each([
    [
      'an address over http',
      `{url: "http://gate", providers: [{name: a, ${OIDC}}]}`,
      /signIn.url: must be an https/,
    ],
    [
      'a path',
      `{url: "https://gate/x", providers: [{name: a, ${OIDC}}]}`,
      /signIn.url: must be the address/,
    ],
    ['no providers', `{${URL_}, providers: []}`, /signIn.providers: needs at least one/],
    [
      'a name with a slash',
      `{${URL_}, providers: [{name: a/b, ${OIDC}}]}`,
      /providers\[0\].name: must be lower-case/,
    ],
    [
      'a name twice',
      `{${URL_}, providers: [{name: a, ${OIDC}}, {name: a, ${OIDC}}]}`,
      /different names/,
    ],
    ['neither oidc nor saml', `{${URL_}, providers: [{name: a}]}`, /needs one of oidc and saml/],
    [
      'both',
      `{${URL_}, providers: [{name: a, ${OIDC}, saml: {metadataFile: x}}]}`,
      /needs one of oidc and saml/,
    ],
    [
      'an issuer that nothing is said of',
      `{${URL_}, providers: [{name: a, oidc: {issuer: "https://other", clientId: x}}]}`,
      /providers\[0\].oidc.issuer: must be one of oidc\[\].issuer/,
    ],
    [
      'scopes without openid',
      `{${URL_}, providers: [{name: a, oidc: {issuer: "https://idp.example", clientId: x, scopes: [email]}}]}`,
      /scopes: must hold openid/,
    ],
    [
      'a parameter of the gateway itself',
      `{${URL_}, providers: [{name: a, oidc: {issuer: "https://idp.example", clientId: x, parameters: {redirect_uri: "https://evil"}}}]}`,
      /parameters: may not hold what the gateway says itself/,
    ],
    [
      'a token that lives for a week',
      `{${URL_}, tokenLifetime: 168h, providers: [{name: a, ${OIDC}}]}`,
      /tokenLifetime: must be a duration between/,
    ],
    [
      'a word that is none',
      `{${URL_}, provider: [], providers: [{name: a, ${OIDC}}]}`,
      /Unrecognized key: "provider"/,
    ],
    [
      'an extra that is ours',
      `{${URL_}, providers: [{name: a, saml: {metadataFile: x, extraAttributes: {podgate.dev/session: s}}}]}`,
      /podgate.dev\/session: is reserved/,
    ],
  ])('is refused with %s', (_name, signIn, message) => {
    expect(() => parseGatewayConfig(withSignIn(signIn), 'f')).toThrow(message)
  })
})

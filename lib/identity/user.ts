/**
 * Identity: who is calling. Turns the bearer token of a request into a User, or refuses it.
 * Nobody is anonymous: no token, no request.
 *
 * May import: errors and other folders of a lower level; jose, openid-client, @node-saml/node-saml, @xmldom/xmldom, mongodb,
 * node:https, node:crypto, node:module.
 */

/** What somebody can prove with who they are. */
export type CredentialKind =
  'IdToken' | 'AccessToken' | 'GatewayToken' | 'ServiceAccount' | 'Certificate'

/** The one that a request came with. */
export interface Credential {
  kind: CredentialKind
  /** Names it in records and to `revoke token`. No secret, and none can be computed from it. */
  id: string
  /** ms since the epoch: what was issued before somebody was revoked ends with that. */
  issuedAt: number
  /** The sign-in that a GatewayToken belongs to. */
  login?: string
}

/** How the person signed in, as far as the provider says (OpenID Connect Core 2). */
export interface SignIn {
  /** ms since the epoch; undefined: not said. */
  at?: number
  acr?: string
  amr: readonly string[]
}

/** Who somebody is, as a provider says it and the gateway's rules read it. */
export interface Person {
  username: string
  /** The provider's own name for them: stays the same when a person is renamed. */
  uid?: string
  groups: string[]
  extra: Record<string, string[]>
  issuer: string
  signIn: SignIn
}

/** The verified caller. Everything the gateway says about a person comes from here. */
export interface User extends Person {
  /** When what they came with ends, in ms since the epoch. */
  expiresAt: number
  credential: Credential
}

/**
 * Access tokens of a provider that were made for the gateway (RFC 9068), as machines get them by
 * client credentials. Their names are of a kind of their own, since `sub` may be a client's here.
 */
export interface AccessTokenRules {
  audience: string
  usernameClaim: string
  usernamePrefix: string
  /** Undefined: what such a token says of groups does not count. */
  groupsClaim?: string | undefined
}

/** One identity provider the gateway trusts; already validated by the config. */
export interface OidcConfig {
  /** Exactly the `iss` of its tokens; https. */
  issuer: string
  audience: string
  usernameClaim?: string | undefined
  usernamePrefix?: string | undefined
  groupsClaim?: string | undefined
  groupsPrefix?: string | undefined
  uidClaim?: string | undefined
  /** Extras of the person, each from the claim named. */
  extraClaims?: Readonly<Record<string, string>> | undefined
  /** PEM file; replaces the system's trust for this provider. */
  caFile?: string | undefined
  algorithms?: string[] | undefined
  clockSkewSeconds?: number | undefined
  /** Default true. False: its people come in by other ways. */
  acceptIdTokens?: boolean | undefined
  /** Undefined: its access tokens are not taken. */
  accessTokens?: AccessTokenRules | undefined
}

/** An issuer with everything decided. */
export interface OidcSettings {
  issuer: string
  audience: string
  usernameClaim: string
  usernamePrefix: string
  groupsClaim: string
  groupsPrefix: string
  uidClaim: string
  extraClaims: Readonly<Record<string, string>>
  caFile?: string
  algorithms: string[]
  clockSkewSeconds: number
  accessTokens?: AccessTokenRules
}

const DEFAULT_ALGORITHMS = ['RS256', 'ES256', 'PS256', 'EdDSA']

export function withDefaults(config: OidcConfig): OidcSettings {
  return {
    issuer: config.issuer,
    audience: config.audience,
    usernameClaim: config.usernameClaim ?? 'sub',
    usernamePrefix: config.usernamePrefix ?? '',
    groupsClaim: config.groupsClaim ?? 'groups',
    groupsPrefix: config.groupsPrefix ?? '',
    uidClaim: config.uidClaim ?? 'sub',
    extraClaims: config.extraClaims ?? {},
    algorithms: config.algorithms ?? DEFAULT_ALGORITHMS,
    clockSkewSeconds: config.clockSkewSeconds ?? 60,
    ...(config.caFile === undefined ? {} : { caFile: config.caFile }),
    ...(config.accessTokens === undefined ? {} : { accessTokens: config.accessTokens }),
  }
}

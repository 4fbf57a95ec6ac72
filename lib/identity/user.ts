/**
 * Identity: who is calling. Turns the bearer token of a request into a User, or refuses it.
 * Nobody is anonymous: no token, no request.
 *
 * May import: errors and other folders of a lower level; jose, node:https, node:crypto.
 */

/** The verified caller. Everything the gateway says about a person comes from here. */
export interface User {
  username: string
  /** The provider's `sub`: stays the same when a person is renamed. */
  uid?: string
  groups: string[]
  extra: Record<string, string[]>
  /** When the token ends, in ms since the epoch. */
  expiresAt: number
  issuer: string
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
  /** PEM file; replaces the system's trust for this provider. */
  caFile?: string | undefined
  algorithms?: string[] | undefined
  clockSkewSeconds?: number | undefined
}

/** An issuer with everything decided. */
export interface OidcSettings {
  issuer: string
  audience: string
  usernameClaim: string
  usernamePrefix: string
  groupsClaim: string
  groupsPrefix: string
  caFile?: string
  algorithms: string[]
  clockSkewSeconds: number
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
    algorithms: config.algorithms ?? DEFAULT_ALGORITHMS,
    clockSkewSeconds: config.clockSkewSeconds ?? 60,
    ...(config.caFile === undefined ? {} : { caFile: config.caFile }),
  }
}

/** `signIn` of the configuration: how people become known to the gateway in a browser. */
import { z } from 'zod'

import { duration } from './duration-field.ts'
import { extraClaims } from './issuer-config.ts'

export interface OidcSignInConfig {
  /** One of `oidc[].issuer`, whose rules for names hold. */
  issuer: string
  clientId: string
  clientSecretFile?: string | undefined
  scopes: string[]
  parameters: Record<string, string>
  /** Undefined: an ID token that leaves groups out is refused. */
  groupsUrl?: string | undefined
}

export interface SamlSignInConfig {
  /** The provider's own metadata, saved from it. */
  metadataFile: string
  /** Undefined: NameID. */
  usernameAttribute?: string | undefined
  usernamePrefix: string
  groupsAttribute: string
  groupsPrefix: string
  extraAttributes: Record<string, string>
  clockSkewSeconds: number
}

/** One of the two. */
export interface ProviderConfig {
  name: string
  oidc?: OidcSignInConfig | undefined
  saml?: SamlSignInConfig | undefined
}

export interface SignInConfig {
  /** Of the gateway, as people reach it; without a slash at its end. */
  url: string
  providers: ProviderConfig[]
  /** ms, all of them. */
  tokenLifetime: number
  sessionLifetime: number
  recheck: number
}

/** What the gateway says itself in the request to the provider. */
const OWN_PARAMETERS = new Set([
  'acr_values',
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'max_age',
  'nonce',
  'redirect_uri',
  'response_type',
  'scope',
  'state',
])

function isOrigin({ pathname, search }: URL): boolean {
  return pathname === '/' && search === ''
}

const oidc: z.ZodType<OidcSignInConfig> = z.strictObject({
  issuer: z.string().min(1),
  clientId: z.string().min(1),
  clientSecretFile: z.string().min(1).optional(),
  scopes: z
    .array(z.string().regex(/^[!-~]+$/, 'must be one word'))
    .default(['openid', 'offline_access'])
    .refine((scopes) => scopes.includes('openid'), 'must hold openid'),
  parameters: z
    .record(z.string(), z.string())
    .default({})
    .refine((names) => Object.keys(names).every((name) => !OWN_PARAMETERS.has(name)), {
      error: `may not hold what the gateway says itself: ${[...OWN_PARAMETERS].join(', ')}`,
    }),
  groupsUrl: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }).optional(),
})

const saml = z
  .strictObject({
    metadataFile: z.string().min(1),
    usernameAttribute: z.string().min(1).optional(),
    usernamePrefix: z.string().default(''),
    groupsAttribute: z.string().min(1).default('groups'),
    groupsPrefix: z.string().default(''),
    extraAttributes: extraClaims,
    clockSkew: duration('60s', '0s', '5m'),
  })
  .transform(({ clockSkew, ...rest }): SamlSignInConfig => ({
    ...rest,
    clockSkewSeconds: clockSkew / 1000,
  }))

const provider: z.ZodType<ProviderConfig> = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
        'must be lower-case letters, digits and dashes',
      ),
    oidc: oidc.optional(),
    saml: saml.optional(),
  })
  .refine((one) => (one.oidc === undefined) !== (one.saml === undefined), {
    error: 'needs one of oidc and saml, and not both',
  })

export const signIn: z.ZodType<SignInConfig | undefined> = z
  .strictObject({
    url: z
      .url({ protocol: /^https$/, error: 'must be an https:// URL' })
      .refine((url) => !URL.canParse(url) || isOrigin(new URL(url)), {
        error: 'must be the address of the gateway alone, without a path',
      })
      .transform((url) => (URL.canParse(url) ? new URL(url).origin : url)),
    providers: z
      .array(provider)
      .min(1, 'needs at least one provider')
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, {
        error: 'must have different names',
      }),
    tokenLifetime: duration('1h', '2m', '24h'),
    sessionLifetime: duration('12h', '5m', '720h'),
    recheck: duration('5m', '10s', '24h'),
  })
  .optional()

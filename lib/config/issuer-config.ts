/** One entry of `oidc` in the configuration: whose tokens count, and how their names are read. */
import { z } from 'zod'

import { SAFE_ALGORITHMS } from '../identity/algorithms.ts'
import type { AccessTokenRules } from '../identity/user.ts'
import { duration } from './duration-field.ts'

export interface IssuerConfig {
  issuer: string
  audience: string
  usernameClaim: string
  usernamePrefix: string
  groupsClaim: string
  groupsPrefix: string
  uidClaim: string
  /** Extras of a person, each from the claim named. */
  extraClaims: Record<string, string>
  /** Left out: those of lib/identity. */
  algorithms?: string[] | undefined
  clockSkewSeconds: number
  caFile?: string | undefined
  /** Its ID tokens are taken as they are, in `Authorization: Bearer`. */
  acceptIdTokens: boolean
  /** Undefined: its access tokens are not taken. */
  accessTokens?: AccessTokenRules | undefined
}

/**
 * As kube-apiserver has it of extras in its own AuthenticationConfiguration (ExtraMapping.key), with
 * fewer signs behind the slash: none that a header would have to escape.
 */
const EXTRA_KEY =
  /^(?=[^/]{1,253}\/)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\/[a-z0-9](?:[a-z0-9._~-]{0,61}[a-z0-9])?$/
/** Whoever could set these would speak for the gateway or for Kubernetes itself. */
const RESERVED_DOMAIN = /(?:^|\.)(?:podgate\.dev|kubernetes\.io|k8s\.io)\//

function extraKeyFault(key: string): string | undefined {
  if (!EXTRA_KEY.test(key)) {
    return 'must be a domain of yours and a name, in lower case, such as example.com/department'
  }
  return RESERVED_DOMAIN.test(key)
    ? 'is reserved: podgate.dev, kubernetes.io and k8s.io are not yours; use a domain of your own'
    : undefined
}

const claim = z.string().min(1)

/** Of OpenID Connect claims, and of SAML attributes. */
export const extraClaims: z.ZodType<Record<string, string>, Record<string, string> | undefined> = z
  .record(z.string(), claim)
  .default({})
  .superRefine((extras, context) => {
    for (const key of Object.keys(extras)) {
      const fault = extraKeyFault(key)
      if (fault !== undefined) context.addIssue({ code: 'custom', path: [key], message: fault })
    }
  })

const accessTokens: z.ZodType<AccessTokenRules> = z.strictObject({
  audience: z.string().min(1),
  usernameClaim: claim.default('sub'),
  usernamePrefix: z.string().min(1).default('client:'),
  groupsClaim: claim.optional(),
})

export const issuer: z.ZodType<IssuerConfig> = z
  .strictObject({
    issuer: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }),
    audience: z.string().min(1),
    usernameClaim: claim.default('sub'),
    usernamePrefix: z.string().default(''),
    groupsClaim: claim.default('groups'),
    groupsPrefix: z.string().default(''),
    uidClaim: claim.default('sub'),
    extraClaims,
    algorithms: z.array(z.enum(SAFE_ALGORITHMS)).min(1).optional(),
    clockSkew: duration('60s', '0s', '5m'),
    caFile: z.string().min(1).optional(),
    acceptIdTokens: z.boolean().default(true),
    accessTokens: accessTokens.optional(),
  })
  .superRefine(({ audience, usernamePrefix, accessTokens: rules }, context) => {
    const issue = (path: string[], message: string): void =>
      context.addIssue({ code: 'custom', path: ['accessTokens', ...path], message })
    if (rules === undefined) return
    if (rules.audience === audience) {
      issue(['audience'], 'must not be that of ID tokens, or one could pass for the other')
    }
    if (rules.usernamePrefix === usernamePrefix) {
      issue(['usernamePrefix'], 'must not be that of people: a machine could have the name of one')
    }
  })
  .transform(({ clockSkew, ...rest }): IssuerConfig => ({
    ...rest,
    clockSkewSeconds: clockSkew / 1000,
  }))

/** The providers that people sign in at, wired together. No decisions of its own. */
import { readFile } from 'node:fs/promises'

import type { GatewayConfig } from '../../lib/config/gateway-config.ts'
import type { SamlSignInConfig } from '../../lib/config/sign-in-config.ts'
import { errorText, GatewayError } from '../../lib/errors/gateway-error.ts'
import {
  createOidcProvider,
  DEFAULT_LIMITS,
  TRUSTED_SOURCE_COOLDOWN_MS,
  type OidcDeps,
} from '../../lib/identity/oidc.ts'
import { createOidcSignIn, type OidcSignIn } from '../../lib/identity/oidc-sign-in.ts'
import type { SamlProvider } from '../../lib/identity/saml.ts'
import type { SpentIds } from '../../lib/identity/spent-ids.ts'
import { withDefaults } from '../../lib/identity/user.ts'
import { oidcProvider, samlProvider, type SignInProvider } from '../../lib/sign-in/provider.ts'
import { SIGN_IN_BASE } from '../../lib/sign-in/sign-in-app.ts'

export interface OpenProviders {
  providers: SignInProvider[]
  /** The issuer of each, by its name. */
  issuers: Map<string, string>
  /** Those that can be asked again whether somebody still may. */
  oidc: OidcSignIn[]
  close(): void
}

/** XML and its signatures are loaded where SAML is configured only. */
async function openSaml(
  name: string,
  { metadataFile, ...rules }: SamlSignInConfig,
  base: string,
  spent: SpentIds,
): Promise<{ provider: SamlProvider; entityId: string }> {
  const { createSamlProvider } = await import('../../lib/identity/saml.ts')
  const { parseIdpMetadata } = await import('../../lib/identity/saml-metadata.ts')
  const own = `${base}/saml/${name}`
  try {
    const idp = parseIdpMetadata(await readFile(metadataFile, 'utf8'))
    const provider = createSamlProvider(
      { ...rules, ...idp, name, spEntityId: `${own}/metadata`, acsUrl: `${own}/acs` },
      { now: Date.now, spent },
    )
    return { provider, entityId: idp.entityId }
  } catch (error) {
    throw new GatewayError(
      'Invalid',
      `signIn.providers "${name}": ${metadataFile} cannot be used: ${errorText(error)}`,
      { cause: error },
    )
  }
}

export async function openProviders(
  config: GatewayConfig,
  deps: OidcDeps,
  spent: SpentIds,
): Promise<OpenProviders> {
  const opened: OpenProviders = {
    providers: [],
    issuers: new Map(),
    oidc: [],
    close: () => undefined,
  }
  if (config.signIn === undefined) return opened
  const base = `${config.signIn.url}${SIGN_IN_BASE}`
  const closers: (() => void)[] = []
  for (const { name, oidc, saml } of config.signIn.providers) {
    if (saml !== undefined) {
      const { provider, entityId } = await openSaml(name, saml, base, spent)
      opened.providers.push(samlProvider(name, provider))
      opened.issuers.set(name, entityId)
      continue
    }
    const issuer = config.oidc.find((candidate) => candidate.issuer === oidc?.issuer)
    if (issuer === undefined || oidc === undefined) {
      throw new GatewayError('Invalid', `signIn.providers "${name}": its issuer is not in oidc`)
    }
    const settings = withDefaults(issuer)
    const keys = createOidcProvider(settings, deps, {
      ...DEFAULT_LIMITS,
      cooldownMs: TRUSTED_SOURCE_COOLDOWN_MS,
    })
    const strangers = createOidcProvider(settings, deps)
    closers.push(
      () => keys.close(),
      () => strangers.close(),
    )
    const signIn = createOidcSignIn({ ...oidc, name, issuer: settings }, keys, Date.now, strangers)
    opened.oidc.push(signIn)
    opened.issuers.set(name, settings.issuer)
    opened.providers.push(oidcProvider(signIn, `${base}/callback`))
  }
  return {
    ...opened,
    close: () => {
      for (const close of closers) close()
    },
  }
}

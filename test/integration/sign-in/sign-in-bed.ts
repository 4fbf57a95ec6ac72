/** The sign-in of a gateway on a real socket, in front of the sandbox's real provider. */
import { createServer } from 'node:https'
import { once } from 'node:events'

import { createAuthority, issueCertificate, type KeyPair } from '../../../lib/cluster/pki.ts'
import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createHttpsFetch } from '../../../lib/https/https-fetch.ts'
import { createAuthenticator } from '../../../lib/identity/authenticate.ts'
import { createIdentify, type Identify } from '../../../lib/identity/identify.ts'
import { createLogins, DEFAULT_LOGIN_LIMITS, type Logins } from '../../../lib/identity/logins.ts'
import { createOidcProvider, DEFAULT_LIMITS, SYSTEM_DEPS } from '../../../lib/identity/oidc.ts'
import { createOidcSignIn, type OidcSignIn } from '../../../lib/identity/oidc-sign-in.ts'
import { THE_GATEWAY } from '../../../lib/identity/revoke.ts'
import { withDefaults, type OidcConfig, type Person } from '../../../lib/identity/user.ts'
import {
  GATEWAY_CLIENT_ID,
  SCOPES,
  startIdentityProvider,
  type IdentityProvider,
} from '../../../lib/sandbox/identity-provider.ts'
import { createPeople, type PersonName } from '../../../lib/sandbox/people.ts'
import { oidcProvider } from '../../../lib/sign-in/provider.ts'
import { createSignInApp } from '../../../lib/sign-in/sign-in-app.ts'
import { openGatewayOAuth, type GatewayOAuth } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { startRevoking, type Revoking } from '../../fakes/revoking.ts'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SignInBed {
  url: string
  ca: string
  caFile: string
  provider: IdentityProvider
  /** What a machine gets by client credentials, for this gateway or for another API. */
  machineToken(resource?: string): Promise<string>
  passwordOf(name: PersonName): string
  revoking: Revoking
  logins: Logins
  identify: Identify
  /** ms by which the gateway's clock is ahead. */
  ahead: { ms: number }
  /** Everything that was said to the log. */
  log: string[]
  oauth(): Promise<GatewayOAuth>
  close(): Promise<void>
}

const SECRET = 'a secret of the gateway at the provider'

/** Another provider, which people may choose. */
export interface OtherProvider {
  name: string
  issuer: OidcConfig
  clientId: string
  scopes: readonly string[]
}

export interface BedContext {
  authority: KeyPair
  redirectUri: string
  caFile: string
  /** The gateway has this secret at every provider. */
  clientSecret: string
}

export async function startSignInBed(
  openOther?: (context: BedContext) => Promise<OtherProvider>,
): Promise<SignInBed> {
  const folder = await mkdtemp(join(tmpdir(), 'podgate-sign-in-'))
  const authority = await createAuthority('sign-in test')
  const caFile = join(folder, 'ca.pem')
  const secretFile = join(folder, 'secret')
  await writeFile(caFile, authority.certificate)
  await writeFile(secretFile, `${SECRET}\n`)
  const pair = await issueCertificate(authority, {
    commonName: 'test',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  const tls = { cert: pair.certificate, key: pair.privateKey }
  const server = createServer(tls)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const url = `https://127.0.0.1:${port}`
  const redirectUri = `${url}/podgate/sign-in/callback`

  const people = createPeople()
  const provider = await startIdentityProvider({
    people,
    certificate: pair.certificate,
    privateKey: pair.privateKey,
    authority: authority.certificate,
    machine: { clientId: 'deployer', secret: SECRET },
    gateway: {
      secret: SECRET,
      redirectUri,
      backchannelLogoutUri: `${url}/podgate/sign-in/logout/corp`,
    },
  })
  const { issuer } = provider

  const ahead = { ms: 0 }
  const now = (): number => Date.now() + ahead.ms
  const log: string[] = []
  const trusted = {
    issuer,
    audience: 'podgate',
    usernameClaim: 'preferred_username',
    caFile,
    accessTokens: { audience: url, usernameClaim: 'sub', usernamePrefix: 'client:' },
  }
  const keysOf: { close(): void }[] = []
  const open = (wanted: OtherProvider, parameters: Record<string, string>): OidcSignIn => {
    const settings = withDefaults(wanted.issuer)
    const keys = createOidcProvider(settings, SYSTEM_DEPS, { ...DEFAULT_LIMITS, cooldownMs: 0 })
    keysOf.push(keys)
    return createOidcSignIn(
      { ...wanted, issuer: settings, clientSecretFile: secretFile, parameters },
      keys,
    )
  }
  const corp = {
    name: 'corp',
    issuer: trusted,
    clientId: GATEWAY_CLIENT_ID,
    scopes: SCOPES.split(' '),
  }
  const signIns = [open(corp, { prompt: 'consent' })]
  const context = { authority, redirectUri, caFile, clientSecret: SECRET }
  if (openOther !== undefined) signIns.push(open(await openOther(context), {}))
  const stop = new AbortController()
  const revoking = await startRevoking(stop.signal)
  const { revocations } = revoking
  const assertMayBegin = (person: Person): void => {
    const issuedAt = now()
    const credential = { kind: 'GatewayToken', id: '', issuedAt } as const
    revocations.assertAllowed({ ...person, expiresAt: issuedAt, credential })
  }
  const logins = createLogins({
    store: revoking.logins,
    limits: DEFAULT_LOGIN_LIMITS,
    recheck: (name) => signIns.find((signIn) => signIn.name === name)?.recheck,
    isConfigured: () => true,
    endLogin: async (login, reason) => {
      const target = { kind: 'Login', id: login } as const
      await revoking.revoker.revoke({ target, block: false, by: THE_GATEWAY, reason })
    },
    assertMayBegin,
    onError: (message) => void log.push(message),
    now,
  })
  const idTokens = createAuthenticator([trusted])
  const identify = createIdentify({ idTokens, logins, revocations })
  const app = createSignInApp({
    url,
    clusterName: 'test',
    providers: signIns.map((signIn) => oidcProvider(signIn, redirectUri)),
    store: revoking.logins,
    logins,
    verifyToken: async (token) => await identify({ headers: { authorization: `Bearer ${token}` } }),
    endLogins: revoking.revoker.endLogins,
    assertMayBegin,
    onSignIn: (person, name) => void log.push(`${person.username} by ${name}`),
    onFailure: (error) => void log.push(`${error.id ?? ''} ${error.message} ${causes(error)}`),
    now,
  })
  server.on('request', (request, response) => app(request, response))

  return {
    url,
    ca: authority.certificate,
    caFile,
    provider,
    machineToken: async (resource = url) =>
      await machineToken(`${issuer}/token`, authority.certificate, resource),
    passwordOf: (name) => people.find((person) => person.name === name)?.password ?? '',
    revoking,
    logins,
    identify,
    ahead,
    log,
    oauth: async () => await openGatewayOAuth({ server: url, ca: authority.certificate }, {}),
    async close() {
      idTokens.close()
      for (const keys of keysOf) keys.close()
      server.close()
      server.closeAllConnections()
      await provider.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** RFC 6749 4.4, RFC 8707. */
async function machineToken(endpoint: string, ca: string, resource: string): Promise<string> {
  const answer = await createHttpsFetch({ ca })(endpoint, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`deployer:${encodeURIComponent(SECRET)}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource }),
  })
  const { access_token: token, error_description: why } = (await answer.json()) as {
    access_token?: string
    error_description?: string
  }
  if (token === undefined) throw new Error(`no token for the machine: ${why ?? answer.status}`)
  return token
}

function causes(error: GatewayError): string {
  return error.cause instanceof Error ? error.cause.message : ''
}

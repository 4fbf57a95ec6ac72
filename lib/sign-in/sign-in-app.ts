/**
 * The HTTP side of signing in, on the gateway's own listener:
 *
 *   GET  /podgate/sign-in/metadata             what a command line has to know (as RFC 8414)
 *   GET  /podgate/sign-in/authorize            a browser begins; goes to the provider
 *   GET  /podgate/sign-in/callback             comes back from OpenID Connect
 *   POST /podgate/sign-in/saml/NAME/acs        comes back from SAML; GET .../metadata: for its admin
 *   POST /podgate/sign-in/device               a command without a browser begins (RFC 8628)
 *   GET  /podgate/sign-in/verify               a person types its code; POST: and says yes or no
 *   POST /podgate/sign-in/token, /revoke       codes become tokens; tokens are given back
 *   POST /podgate/sign-in/logout/NAME          a provider says that somebody signed out there
 */
import express, {
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
} from 'express'

import { GatewayError } from '../errors/gateway-error.ts'
import type { LoginStore } from '../identity/login-store.ts'
import type { Freshness } from '../identity/oidc-sign-in.ts'
import type { Logins } from '../identity/logins.ts'
import type { Person, User } from '../identity/user.ts'
import { serveBackChannelLogout, type LogoutDeps } from './back-channel-logout.ts'
import { CLIENT_ID, freshnessOf, parseAuthorize } from './authorize.ts'
import {
  closed,
  createBrowserFlow,
  hasJourney,
  type Journey,
  type Purpose,
} from './browser-flow.ts'
import { createCodes, DEVICE_MS, normalUserCode, spacedUserCode, type Codes } from './codes.ts'
import { errorPage } from './error-page.ts'
import { readForms } from './forms.ts'
import { choosePage, codePage, confirmPage, sendPage } from './pages.ts'
import type { SignInProvider } from './provider.ts'
import { createRateLimit, type RateLimit } from './rate-limit.ts'
import {
  commandOf,
  GRANT_TYPES,
  sendOAuthError,
  serveRevocation,
  serveTokenEndpoint,
  type TokenEndpointDeps,
} from './token-endpoint.ts'

export interface SignInDeps {
  /** Of the gateway, as people reach it: `https://gate.example.com`. */
  url: string
  clusterName: string
  providers: readonly SignInProvider[]
  store: LoginStore
  logins: Logins
  verifyToken(token: string): Promise<User>
  /** Ends sign-ins by the names that a provider has for them. */
  endLogins: LogoutDeps['endLogins']
  /** @throws GatewayError when the person is revoked */
  assertMayBegin(person: Person): void
  /** For the log: who signed in, and why a sign-in failed. No token, code or address of a page. */
  onSignIn(person: Person, provider: string): void
  onFailure(error: GatewayError): void
  now?: () => number
}

export const SIGN_IN_BASE = '/podgate/sign-in'
const DEVICE_INTERVAL_SECONDS = 2
/** A refresh token, or a token of a provider with many groups. */
const FORMS = { limit: '64kb', most: 256 }
/** A SAML response with many groups; of browsers that began a sign-in here. */
const SAML_FORMS = { limit: '768kb', most: 32 }

interface Parts extends SignInDeps {
  codes: Codes
  flow: ReturnType<typeof createBrowserFlow>
  limit: RateLimit
  /** Of all addresses together. */
  samlLimit: RateLimit
  /** A provider signs out many at once, from one address. */
  logoutLimit: RateLimit
  byName: ReadonlyMap<string, SignInProvider>
}

type Handler = (request: Request, response: Response) => Promise<void>

function metadataOf({ url, clusterName, providers }: SignInDeps): object {
  const at = (path: string): string => `${url}${SIGN_IN_BASE}/${path}`
  return {
    issuer: `${url}${SIGN_IN_BASE}`,
    authorization_endpoint: at('authorize'),
    token_endpoint: at('token'),
    device_authorization_endpoint: at('device'),
    revocation_endpoint: at('revoke'),
    response_types_supported: ['code'],
    grant_types_supported: GRANT_TYPES,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    authorization_response_iss_parameter_supported: true,
    podgate_client_id: CLIENT_ID,
    podgate_cluster: clusterName,
    podgate_providers: providers.map(({ name }) => name),
  }
}

/** Goes to the only provider, or lets the person choose one of several. */
async function departOrChoose(
  { providers, byName, flow }: Parts,
  request: Request,
  response: Response,
  ask: { name: string; freshness: Freshness; purpose: Purpose; command: Journey['command'] },
): Promise<void> {
  const { name, freshness, purpose, command } = ask
  const provider = name === '' && providers.length === 1 ? providers[0] : byName.get(name)
  if (provider !== undefined) {
    await flow.depart(response, provider, freshness, { purpose, command })
    return
  }
  if (name !== '') {
    throw new GatewayError(
      'BadRequest',
      `there is no provider "${name.slice(0, 40)}"; there are ${[...byName.keys()].join(', ')}`,
      { id: 1456 },
    )
  }
  const choices = providers.map((choice) => {
    const query = new URLSearchParams(request.originalUrl.split('?')[1] ?? '')
    query.set('provider', choice.name)
    return { title: choice.name, href: `?${query.toString()}` }
  })
  sendPage(response, 200, 'Sign in', choosePage(choices))
}

function authorize(parts: Parts): Handler {
  return async (request, response) => {
    const { purpose, freshness, provider } = parseAuthorize(request.query)
    parts.limit.take(request.socket.remoteAddress ?? '')
    const command = commandOf(request)
    await departOrChoose(parts, request, response, { name: provider, freshness, purpose, command })
  }
}

/** The browser is back from the provider. */
async function arrived(
  parts: Parts,
  request: Request,
  response: Response,
  journey: Journey,
): Promise<void> {
  const { url, flow, codes, byName } = parts
  const provider = byName.get(journey.provider)
  if (provider === undefined || journey.begun === undefined) throw closed()
  const callback = new URL(request.originalUrl, url)
  const form = (request.body ?? {}) as Record<string, unknown>
  const signedIn = await provider.finish({ callback, form }, journey.begun)
  parts.assertMayBegin(signedIn.person)
  parts.onSignIn(signedIn.person, provider.name)
  const { purpose, command } = journey
  if (purpose.kind === 'Loopback') {
    const finished = { provider: provider.name, signedIn, command }
    const code = await codes.issueCode(finished, purpose.challenge, purpose.redirectUri)
    const back = new URL(purpose.redirectUri)
    back.searchParams.set('code', code)
    back.searchParams.set('state', purpose.state)
    back.searchParams.set('iss', `${url}${SIGN_IN_BASE}`)
    response.redirect(303, back.href)
    return
  }
  const { begun: _begun, ...rest } = journey
  const csrf = await flow.pause(response, { ...rest, signedIn })
  const ask = { user: signedIn.person.username, userCode: purpose.userCode, csrf, command }
  sendPage(response, 200, 'Is this you?', confirmPage(`${SIGN_IN_BASE}/confirm`, ask))
}

/** A provider that says no says so at the callback; the command line has to hear it as well. */
async function comeBack(
  parts: Parts,
  request: Request,
  response: Response,
  state: unknown,
  name: string | undefined,
): Promise<void> {
  const journey = await parts.flow.arrive(request, response, state)
  if (name !== undefined && name !== journey.provider) throw closed()
  // The library reads all of a response before it looks at the signature, which takes a tenth of a
  // second: forged ones must not stop those who are signed in.
  if (journey.begun?.kind === 'saml') parts.samlLimit.take('everybody')
  try {
    await arrived(parts, request, response, journey)
  } catch (error) {
    const { purpose } = journey
    if (purpose.kind !== 'Loopback' || !GatewayError.is(error)) throw error
    parts.onFailure(error)
    const back = new URL(purpose.redirectUri)
    back.searchParams.set(
      'error',
      error.reason === 'Unauthorized' ? 'access_denied' : 'server_error',
    )
    back.searchParams.set('error_description', error.toStatus().message ?? '')
    back.searchParams.set('state', purpose.state)
    back.searchParams.set('iss', `${parts.url}${SIGN_IN_BASE}`)
    response.redirect(303, back.href)
  }
}

function startDevice(parts: Parts): Handler {
  return async (request, response) => {
    try {
      const form = (request.body ?? {}) as Record<string, unknown>
      if (form['client_id'] !== CLIENT_ID) {
        throw new GatewayError('BadRequest', `client_id is not ${CLIENT_ID}`, { id: 1456 })
      }
      parts.limit.take(request.socket.remoteAddress ?? '')
      const started = await parts.codes.startDevice(commandOf(request), freshnessOf(form))
      const page = `${parts.url}${SIGN_IN_BASE}/verify`
      response.json({
        device_code: started.deviceCode,
        user_code: started.userCode,
        verification_uri: page,
        verification_uri_complete: `${page}?user_code=${started.userCode}`,
        expires_in: DEVICE_MS / 1000,
        interval: DEVICE_INTERVAL_SECONDS,
      })
    } catch (error) {
      sendOAuthError(response, error)
    }
  }
}

function samlMetadata({ byName }: Parts): (request: Request, response: Response) => void {
  return (request, response) => {
    const provider = byName.get(String(request.params['name']))
    if (provider?.metadata === undefined) {
      throw new GatewayError('NotFound', 'there is no such SAML provider here', { id: 1459 })
    }
    response.type('application/samlmetadata+xml').send(provider.metadata())
  }
}

/** The code was typed, or came with the link and was confirmed: now the person has to sign in. */
function verify(parts: Parts): Handler {
  return async (request, response) => {
    const form = (request.body ?? {}) as Record<string, unknown>
    const asked = request.method === 'POST' ? form['user_code'] : request.query['user_code']
    const text = typeof asked === 'string' ? asked.slice(0, 20) : ''
    const { provider: chosen } = request.query
    const name = typeof chosen === 'string' ? chosen : ''
    const action = `${SIGN_IN_BASE}/verify`
    if (request.method === 'GET' && name === '') {
      sendPage(response, 200, 'Sign in for a command', codePage(action, text))
      return
    }
    parts.limit.take(request.socket.remoteAddress ?? '')
    const open = await parts.codes.findDevice(text)
    const userCode = normalUserCode(text)
    if (open === undefined || userCode === undefined) {
      const problem = 'This code is not known, or is over. Look again, or start the command again.'
      sendPage(response, 400, 'Sign in for a command', codePage(action, text, problem))
      return
    }
    const { command, publicKey, device, fresh, acr } = open
    const spaced = spacedUserCode(userCode)
    // The choice of a provider comes back by a link, which has to bring the code.
    request.originalUrl = `${action}?user_code=${spaced}`
    await departOrChoose(parts, request, response, {
      name,
      freshness: { fresh, acr },
      purpose: { kind: 'Device', userCode: spaced, publicKey, device },
      command,
    })
  }
}

function confirm(parts: Parts): Handler {
  return async (request, response) => {
    const { csrf, answer } = (request.body ?? {}) as Record<string, unknown>
    const { purpose, signedIn, provider, command } = await parts.flow.arrive(
      request,
      response,
      csrf,
    )
    if (purpose.kind !== 'Device' || signedIn === undefined) throw closed()
    const finished = answer === 'yes' ? { provider, signedIn, command } : undefined
    if (!(await parts.codes.answerDevice(purpose, finished))) throw closed()
    if (finished === undefined) {
      sendPage(response, 200, 'Refused', '<p>The command was refused. You may close this page.</p>')
      return
    }
    const done = '<p>You are signed in. Go back to your terminal; you may close this page.</p>'
    sendPage(response, 200, 'Done', done)
  }
}

/** A signature costs much more to check than to make up. */
function limited(limit: RateLimit): RequestHandler {
  return (request, _response, next) => {
    limit.take(request.socket.remoteAddress ?? '')
    next()
  }
}

export function createSignInApp(deps: SignInDeps): express.Express {
  const now = deps.now ?? Date.now
  const parts: Parts = {
    ...deps,
    codes: createCodes(deps.store, now),
    flow: createBrowserFlow(deps.store, now),
    limit: createRateLimit({ burst: 100, perSecond: 5, now }),
    samlLimit: createRateLimit({ burst: 50, perSecond: 3, now }),
    logoutLimit: createRateLimit({ burst: 2000, perSecond: 20, now }),
    byName: new Map(deps.providers.map((provider) => [provider.name, provider])),
  }
  const tokens: TokenEndpointDeps = { ...parts, now }
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.use((_request, response, next) => {
    response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' })
    next()
  })
  const at = (path: string): string => `${SIGN_IN_BASE}/${path}`
  app.post(
    at('saml/:name/acs'),
    limited(parts.limit),
    (request: Request, _response: Response, next: NextFunction) =>
      next(hasJourney(request) ? undefined : closed()),
    readForms(SAML_FORMS),
    (request: Request, response: Response) => {
      const { RelayState: state } = (request.body ?? {}) as Record<string, unknown>
      return comeBack(parts, request, response, state, String(request.params['name']))
    },
  )
  app.use(readForms(FORMS))
  app.get(at('metadata'), (_request, response) => void response.json(metadataOf(deps)))
  app.get(at('authorize'), authorize(parts))
  app.get(at('callback'), limited(parts.limit), (request, response) =>
    comeBack(parts, request, response, request.query['state'], undefined),
  )
  app.get(at('saml/:name/metadata'), samlMetadata(parts))
  app.post(at('device'), startDevice(parts))
  app.get(at('verify'), verify(parts))
  app.post(at('verify'), verify(parts))
  app.post(at('confirm'), confirm(parts))
  app.post(at('token'), (request, response) => serveTokenEndpoint(tokens, request, response))
  app.post(at('logout/:provider'), limited(parts.logoutLimit), (request, response) =>
    serveBackChannelLogout(parts, request, response),
  )
  app.post(at('revoke'), limited(parts.limit), (request, response) =>
    serveRevocation(tokens, request, response),
  )
  app.use((_request, _response, next) => {
    next(new GatewayError('NotFound', 'there is no such page here', { id: 1459 }))
  })
  app.use(errorPage(deps.onFailure))
  return app
}

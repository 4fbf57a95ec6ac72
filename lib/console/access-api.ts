/**
 * Who is signed in, and who may no longer be:
 *
 *   GET    whoami              the caller, as the gateway knows them
 *   GET    logins[?user=NAME]  sign-ins that are open: one's own; admins: everybody's
 *   GET    revocations         admins
 *   POST   revocations         admins; everybody for what is their own
 *   DELETE revocations/ID      admins
 */
import express, { type Request, type Response, type Router } from 'express'

import { GatewayError } from '../errors/gateway-error.ts'
import type {
  LoginDocument,
  LoginStore,
  RevocationDocument,
  RevocationTarget,
} from '../identity/login-store.ts'
import type { Revoker } from '../identity/revoke.ts'
import type { User } from '../identity/user.ts'
import { parseDuration } from '../policy/duration.ts'
import type { TranscriptStore } from '../recording/store.ts'

export interface AccessApiDeps {
  authenticate(request: Request): Promise<User>
  isAdmin(user: User): boolean
  revoker: Revoker
  logins: Pick<LoginStore, 'getLogin' | 'listLogins'>
  sessions: Pick<TranscriptStore, 'getSession'>
}

const MAX_LOGINS = 500
const MAX_TEXT = 256

function invalid(field: string, message: string): GatewayError {
  return new GatewayError('Invalid', `${field} ${message}`, { id: 1461 })
}

function notAdmin(what: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `${what} is for the gateway's admins: the groups in admins.groups of its configuration`,
    { id: 1460 },
  )
}

type Body = Readonly<Record<string, unknown>>

function text(body: Body, field: string, fallback?: string): string {
  const value = body[field] ?? fallback
  if (typeof value !== 'string') throw invalid(field, 'is missing, or no text')
  if (value.length > MAX_TEXT) throw invalid(field, `is longer than ${MAX_TEXT} characters`)
  return value
}

interface Wish {
  target: RevocationTarget
  block: boolean
  forMs: number | undefined
  reason: string
}

const FIELDS = new Set(['kind', 'username', 'issuer', 'id', 'signOutOnly', 'for', 'reason'])

function parseWish(raw: unknown): Wish {
  if (typeof raw !== 'object' || raw === null) throw invalid('the body', 'is no JSON object')
  const body = raw as Body
  const unknown = Object.keys(body).find((field) => !FIELDS.has(field))
  if (unknown !== undefined) throw invalid(unknown.slice(0, 40), 'is not known')
  const kind = text(body, 'kind')
  const reason = text(body, 'reason', '')
  const forText = body['for'] === undefined ? undefined : text(body, 'for')
  const forMs = forText === undefined ? undefined : parseDuration(forText)
  if (forText !== undefined && (forMs === undefined || forMs <= 0)) {
    throw invalid('for', 'is not a duration such as 24h')
  }
  const { signOutOnly = false } = body
  if (typeof signOutOnly !== 'boolean') throw invalid('signOutOnly', 'is neither true nor false')
  if (signOutOnly && kind !== 'User') throw invalid('signOutOnly', 'is for users')
  if (forMs !== undefined && kind !== 'User' && kind !== 'Issuer') {
    throw invalid('for', 'is for users and issuers')
  }
  if (kind === 'User') {
    if (signOutOnly && forMs !== undefined) throw invalid('for', 'makes no sense with signOutOnly')
    const username = text(body, 'username')
    if (username === '') throw invalid('username', 'is empty')
    const issuer = body['issuer'] === undefined ? undefined : text(body, 'issuer')
    const target = { kind, username, ...(issuer === undefined ? {} : { issuer }) } as const
    return { target, block: !signOutOnly, forMs, reason }
  }
  if (kind === 'Issuer') {
    const issuer = text(body, 'issuer')
    if (issuer === '') throw invalid('issuer', 'is empty')
    // For good it could keep out whoever would have to lift it.
    return { target: { kind, issuer }, block: forMs !== undefined, forMs, reason }
  }
  if (kind !== 'Login' && kind !== 'Token' && kind !== 'Session') {
    throw invalid('kind', 'is none of User, Issuer, Login, Token, Session')
  }
  const id = text(body, 'id')
  if (!/^[\w-]{4,80}$/.test(id)) throw invalid('id', `is no name of a ${kind.toLowerCase()}`)
  return { target: { kind, id }, block: false, forMs: undefined, reason }
}

function isSame(a: { username: string; issuer: string }, b: User): boolean {
  return a.username === b.username && a.issuer === b.issuer
}

/** What somebody may end because it is their own. */
async function isOwn(deps: AccessApiDeps, user: User, { target, block }: Wish): Promise<boolean> {
  switch (target.kind) {
    case 'User':
      return !block && target.username === user.username && target.issuer === user.issuer
    case 'Issuer':
      return false
    case 'Token':
      return target.id === user.credential.id
    case 'Login': {
      const login = await deps.logins.getLogin(target.id)
      return login !== undefined && isSame(login.person, user)
    }
    case 'Session': {
      const session = await deps.sessions.getSession(target.id)
      return session !== undefined && isSame(session.user, user)
    }
  }
}

function loginView({ _id, person, provider, client, ...times }: LoginDocument): object {
  const { username, groups, issuer } = person
  const { createdAt, endsAt, checkedAt } = times
  return { id: _id, username, groups, issuer, provider, client, createdAt, endsAt, checkedAt }
}

function revocationView({ _id, ...rest }: RevocationDocument): object {
  return { id: _id, ...rest }
}

function whoami({
  username,
  uid,
  groups,
  extra,
  issuer,
  expiresAt,
  credential,
  signIn,
}: User): object {
  const isKnown = Number.isFinite(expiresAt)
  return {
    kind: 'WhoAmI',
    apiVersion: 'podgate.dev/v1alpha1',
    username,
    ...(uid === undefined ? {} : { uid }),
    groups,
    extra,
    issuer,
    credential: { kind: credential.kind, id: credential.id, login: credential.login },
    ...(isKnown ? { expiresAt: new Date(expiresAt) } : {}),
    signIn: { ...signIn, ...(signIn.at === undefined ? {} : { at: new Date(signIn.at) }) },
  }
}

export function createAccessApi(deps: AccessApiDeps): Router {
  const { authenticate, isAdmin, revoker, logins } = deps
  const admin = async (request: Request, what: string): Promise<User> => {
    const user = await authenticate(request)
    if (!isAdmin(user)) throw notAdmin(what)
    return user
  }

  async function list(request: Request, response: Response): Promise<void> {
    const user = await authenticate(request)
    const { user: asked } = request.query
    if (asked !== undefined && typeof asked !== 'string') throw invalid('user', 'may be given once')
    const isOther = asked !== undefined && asked !== user.username
    if (isOther && !isAdmin(user)) throw notAdmin('seeing sign-ins of others')
    const whose = isAdmin(user) ? asked : user.username
    const found = await logins.listLogins(whose, MAX_LOGINS)
    const visible = isAdmin(user) ? found : found.filter(({ person }) => isSame(person, user))
    response.json({
      kind: 'LoginList',
      apiVersion: 'podgate.dev/v1alpha1',
      items: visible.map(loginView),
    })
  }

  async function revoke(request: Request, response: Response): Promise<void> {
    const user = await authenticate(request)
    const wish = parseWish(request.body)
    if (!isAdmin(user) && !(await isOwn(deps, user, wish))) {
      throw notAdmin("ending other people's access")
    }
    const { target, block, forMs, reason } = wish
    const document = await revoker.revoke({
      target,
      block,
      by: user.username,
      reason,
      ...(forMs === undefined ? {} : { until: new Date(Date.now() + forMs) }),
    })
    response.status(201).json(revocationView(document))
  }

  async function sayWho(request: Request, response: Response): Promise<void> {
    response.json(whoami(await authenticate(request)))
  }

  async function listRevocations(request: Request, response: Response): Promise<void> {
    await admin(request, 'the list of revocations')
    const items = (await revoker.list()).map(revocationView)
    response.json({ kind: 'RevocationList', apiVersion: 'podgate.dev/v1alpha1', items })
  }

  async function lift(request: Request, response: Response): Promise<void> {
    await admin(request, 'lifting a revocation')
    await revoker.lift(String(request.params['id']))
    response.json({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' })
  }

  const router = express.Router()
  router.get('/whoami', sayWho)
  router.get('/logins', list)
  router.get('/revocations', listRevocations)
  // Only JSON: a form on another page could send anything else with a browser's certificate.
  router.post('/revocations', express.json({ limit: '16kb', type: 'application/json' }), revoke)
  router.delete('/revocations/:id', lift)
  return router
}

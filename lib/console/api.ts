/**
 * Console: the REST API for people and their tools, on the gateway's own listener.
 *
 *   GET /podgate/v1alpha1/sessions               own sessions; auditors: all; newest first
 *   GET /podgate/v1alpha1/sessions/ID
 *   GET /podgate/v1alpha1/sessions/ID/frames     what was shown, one JSON document a line
 *   whoami, logins, revocations                  see access-api.ts
 *
 * Every error is a metav1.Status, as everywhere in Kubernetes.
 *
 * May import: errors, identity, recording and other folders of a lower level; express.
 */
import type { IncomingMessage } from 'node:http'

import express, { type NextFunction, type Request, type Response } from 'express'

import { isUnreadableRequest } from '../errors/express-error.ts'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { Revocations } from '../identity/revocations.ts'
import type { Revoker } from '../identity/revoke.ts'
import type { User } from '../identity/user.ts'
import { isSessionId, type SessionDocument } from '../recording/session-document.ts'
import type { SessionQuery, TranscriptStore } from '../recording/store.ts'
import { createAccessApi, type AccessApiDeps } from './access-api.ts'
import { encodeContinue, parseListQuery } from './list-query.ts'
import { sessionView } from './session-view.ts'
import { sendTranscript } from './transcript.ts'

export interface ConsoleDeps {
  store: TranscriptStore
  /** Rejects with a GatewayError when nobody is known by this request. */
  authenticate(request: IncomingMessage): Promise<User>
  /** Members see everybody's sessions. */
  auditorGroups: readonly string[]
  /** Members end other people's access. */
  adminGroups: readonly string[]
  revoker: Revoker
  logins: AccessApiDeps['logins']
  /** What goes on for long ends with the person's access. */
  watch: Revocations['watch']
}

const BASE = '/podgate/v1alpha1'

export function createConsole({
  store,
  authenticate,
  auditorGroups,
  adminGroups,
  revoker,
  logins,
  watch,
}: ConsoleDeps): express.Express {
  const isAuditor = ({ groups }: User): boolean =>
    groups.some((group) => auditorGroups.includes(group))
  const isAdmin = ({ groups }: User): boolean => groups.some((group) => adminGroups.includes(group))

  /** The same answer for a session that is not there and one that is somebody else's. */
  async function findSession(request: Request, user: User): Promise<SessionDocument> {
    const id = request.params['id']
    if (typeof id === 'string' && isSessionId(id)) {
      const session = await store.getSession(id)
      if (session !== undefined && (isAuditor(user) || isOwn(session, user))) return session
    }
    throw new GatewayError('NotFound', 'there is no such session among those you may see', {
      id: 1604,
    })
  }

  async function listSessions(request: Request, response: Response): Promise<void> {
    const user = await authenticate(request)
    const asked = parseListQuery(request.query)
    const visible = isAuditor(user) ? asked : ownOnly(asked, user)
    // One more than asked for tells whether there are more.
    const found =
      visible === undefined ? [] : await store.listSessions({ ...visible, limit: asked.limit + 1 })
    const page = found.slice(0, asked.limit)
    const last = found.length > page.length ? page.at(-1) : undefined
    response.json({
      kind: 'SessionList',
      apiVersion: 'podgate.dev/v1alpha1',
      metadata: last === undefined ? {} : { continue: encodeContinue(last) },
      items: page.map(sessionView),
    })
  }

  function refuseOthers(request: Request, _response: Response, next: NextFunction): void {
    const unknown = new GatewayError(
      'NotFound',
      `the gateway serves ${BASE}/sessions, sessions/ID, sessions/ID/frames, whoami, logins and revocations here, nothing else`,
      { id: 1604 },
    )
    authenticate(request).then(() => next(unknown), next)
  }

  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  app.use((_request, response, next) => {
    response.setHeader('Cache-Control', 'no-store')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    next()
  })
  app.use(BASE, createAccessApi({ authenticate, isAdmin, revoker, logins, sessions: store }))
  app.use((request, response, next) => {
    if (request.method === 'GET') {
      next()
      return
    }
    response.setHeader('Allow', 'GET')
    next(new GatewayError('MethodNotAllowed', 'only GET is served here', { id: 1605 }))
  })
  app.get(`${BASE}/sessions`, listSessions)
  app.get(`${BASE}/sessions/:id`, async (request, response) => {
    response.json(sessionView(await findSession(request, await authenticate(request))))
  })
  app.get(`${BASE}/sessions/:id/frames`, async (request, response) => {
    const user = await authenticate(request)
    const live = watch(user)
    try {
      live.signal.throwIfAborted()
      await sendTranscript(store, await findSession(request, user), response, live.signal)
    } finally {
      live.release()
    }
  })
  app.use(refuseOthers)
  app.use(sendStatus)
  return app
}

/** Two identity providers may both have an ana. */
function isOwn({ user }: SessionDocument, { username, issuer }: User): boolean {
  return user.username === username && user.issuer === issuer
}

/** Undefined: the user asked for others' sessions only. */
function ownOnly(query: SessionQuery, { username, issuer }: User): SessionQuery | undefined {
  if (query.username !== undefined && query.username !== username) return undefined
  return { ...query, username, issuer }
}

/** Express knows an error handler by its four parameters. */
function sendStatus(
  error: unknown,
  _request: Request,
  response: Response,
  _next: NextFunction,
): void {
  if (response.headersSent) {
    // A cut body never looks like a complete one: it lacks the last chunk.
    response.destroy()
    return
  }
  const known = isUnreadableRequest(error)
    ? new GatewayError('BadRequest', 'the path or the body cannot be read', {
        id: 1600,
        cause: error,
      })
    : asGatewayError(error, 'reading transcripts')
  response.status(known.code).json(known.toStatus())
}

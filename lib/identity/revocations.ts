/**
 * Who may no longer, known at every replica within a moment: each asks the store's counter several
 * times a second and reads the list again when it has moved. What runs of somebody who was revoked
 * is ended at once, with words.
 *
 * Asking beats being told: change streams are not plain operations, and a replica that hears nothing
 * cannot know that there was something to hear. Here silence is noticed: knowledge that is too old is
 * no basis to let anybody in.
 */
import { clockTime } from '../errors/clock-time.ts'
import { errorText, GatewayError } from '../errors/gateway-error.ts'
import type { LoginStore, RevocationDocument } from './login-store.ts'
import type { User } from './user.ts'

export interface RevocationsOptions {
  store: Pick<LoginStore, 'listRevocations' | 'revocationVersion'>
  /** Aborts with a GatewayError when the gateway shuts down: ends everything that runs. */
  stop: AbortSignal
  onError(message: string): void
  /** Somebody was revoked: what is remembered of tokens may be wrong now. */
  onRevoked?(): void
  now?: () => number
  /** Between two looks at the counter. */
  pollMs?: number
  /** The list is read again after this, whatever the counter says. */
  rereadMs?: number
  /** Nobody is let in on knowledge older than this. */
  maxAgeMs?: number
}

/** A request that runs, or a session. */
export interface LiveAccess {
  /** Aborts with a GatewayError as its reason: revoked, or the gateway's own end. */
  readonly signal: AbortSignal
  readonly user: User
  /** From here on it is the session of that name. */
  name(session: string): void
  /** It is over. */
  release(): void
}

export interface Revocations {
  /** @throws GatewayError Unauthorized: revoked; ServiceUnavailable: nobody knows. */
  assertAllowed(user: User): void
  watch(user: User): LiveAccess
  /** Sign-ins that something runs of. */
  liveLogins(): string[]
  /** Ends what runs of a sign-in that the provider has ended. */
  endLogin(login: string, reason: GatewayError): void
  /** Reads the list now. @throws GatewayError */
  refresh(): Promise<void>
  ageMs(): number
  start(): void
  close(): void
}

const POLL_MS = 250
const REREAD_MS = 10_000
const MAX_AGE_MS = 60_000
const TELL_MS = 10_000

/** What the person is told, in a refusal and at the end of a running session. */
export function revoked({ by, reason, at, block }: RevocationDocument): GatewayError {
  const why = reason === '' ? '' : `: "${reason}"`
  const next = block
    ? 'Signing in again does not help; talk to them'
    : 'Sign in again: kubectl podgate login'
  return new GatewayError(
    'Unauthorized',
    `your access was revoked by ${by} at ${clockTime(at.getTime())}${why}. ${next}`,
    { id: 1450 },
  )
}

function concerns(
  { target, block, at }: RevocationDocument,
  user: User,
  session?: string,
): boolean {
  const { credential } = user
  switch (target.kind) {
    case 'Token':
      return credential.id === target.id
    case 'Login':
      return credential.login === target.id
    case 'Session':
      return session === target.id
    case 'Issuer':
      return user.issuer === target.issuer && (block || credential.issuedAt <= at.getTime())
    case 'User': {
      if (user.username !== target.username) return false
      if (target.issuer !== undefined && user.issuer !== target.issuer) return false
      return block || credential.issuedAt <= at.getTime()
    }
  }
}

interface Live extends LiveAccess {
  session: string | undefined
  end(reason: GatewayError): void
}

function keyOf({ target }: RevocationDocument): string {
  if (target.kind === 'User') return `User ${target.username}`
  if (target.kind === 'Issuer') return `Issuer ${target.issuer}`
  return `${target.kind} ${target.id}`
}

/** One that was written again is another one: it may be about more. */
function nameOf({ _id, at }: RevocationDocument): string {
  return `${_id} ${at.getTime()}`
}

/** Look-ups by what a rule is about: most requests are of people nobody has revoked. */
function indexOf(
  rules: readonly RevocationDocument[],
): (user: User) => RevocationDocument | undefined {
  const byKey = new Map<string, RevocationDocument[]>()
  for (const rule of rules) {
    const key = keyOf(rule)
    byKey.set(key, [...(byKey.get(key) ?? []), rule])
  }
  return (user) => {
    if (byKey.size === 0) return undefined
    const { id, login } = user.credential
    const keys = [
      `User ${user.username}`,
      `Issuer ${user.issuer}`,
      `Token ${id}`,
      ...(login === undefined ? [] : [`Login ${login}`]),
    ]
    return keys.flatMap((key) => byKey.get(key) ?? []).find((rule) => concerns(rule, user))
  }
}

export function createRevocations(options: RevocationsOptions): Revocations {
  const { store, stop, onError, now = Date.now } = options
  const pollMs = options.pollMs ?? POLL_MS
  const rereadMs = options.rereadMs ?? REREAD_MS
  const maxAgeMs = options.maxAgeMs ?? MAX_AGE_MS
  const live = new Set<Live>()
  let rules: readonly RevocationDocument[] = []
  let find = indexOf(rules)
  let version: number | undefined
  let knownAt = Number.NEGATIVE_INFINITY
  let readAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let toldAt = Number.NEGATIVE_INFINITY

  function endRunning(fresh: readonly RevocationDocument[]): void {
    if (fresh.length === 0) return
    for (const entry of live) {
      const rule = fresh.find((candidate) => concerns(candidate, entry.user, entry.session))
      if (rule !== undefined) entry.end(revoked(rule))
    }
  }

  async function read(seen: number, askedAt: number): Promise<void> {
    const listed = await store.listRevocations()
    const known = new Set(rules.map(nameOf))
    rules = listed.filter(({ until }) => until === null || until.getTime() > now())
    find = indexOf(rules)
    version = seen
    readAt = askedAt
    const fresh = rules.filter((rule) => !known.has(nameOf(rule)))
    if (fresh.length > 0) options.onRevoked?.()
    endRunning(fresh)
  }

  async function refresh(): Promise<void> {
    const askedAt = now()
    // The counter first: a change that comes in between is seen at the next look.
    const seen = await store.revocationVersion()
    if (seen !== version || askedAt - readAt >= rereadMs) await read(seen, askedAt)
    knownAt = Math.max(knownAt, askedAt)
  }

  /** Once for a while: a store that is away is asked several times a second. */
  function tell(error: unknown): void {
    if (now() - toldAt < TELL_MS) return
    toldAt = now()
    onError(`reading revocations: ${errorText(error)}`)
  }

  function poll(): void {
    refresh()
      .catch(tell)
      .finally(() => {
        if (closed) return
        timer = setTimeout(poll, pollMs)
        timer.unref()
      })
  }

  const onStop = (): void => {
    const { reason } = stop as { reason: unknown }
    for (const entry of live) entry.end(GatewayError.is(reason) ? reason : shuttingDown())
  }
  stop.addEventListener('abort', onStop, { once: true })

  return {
    assertAllowed(user) {
      if (now() - knownAt > maxAgeMs) throw tooOld()
      const rule = find(user)
      if (rule !== undefined) throw revoked(rule)
    },
    watch(user) {
      const ends = new AbortController()
      const entry: Live = {
        user,
        session: undefined,
        signal: ends.signal,
        end: (reason) => ends.abort(reason),
        name(session) {
          entry.session = session
        },
        release: () => live.delete(entry),
      }
      live.add(entry)
      if (stop.aborted) onStop()
      // It may have been revoked while it was being looked at.
      const rule = find(user)
      if (rule !== undefined) entry.end(revoked(rule))
      return entry
    },
    liveLogins: () => [...new Set([...live].flatMap(({ user }) => user.credential.login ?? []))],
    endLogin(login, reason) {
      for (const entry of live) if (entry.user.credential.login === login) entry.end(reason)
    },
    refresh,
    ageMs: () => now() - knownAt,
    start: poll,
    close() {
      closed = true
      clearTimeout(timer)
      stop.removeEventListener('abort', onStop)
    },
  }
}

function tooOld(): GatewayError {
  return new GatewayError(
    'ServiceUnavailable',
    'nobody can tell at the moment whose access was revoked, because the store of sign-ins cannot be reached, so nobody is let in; try again in a moment',
    { id: 1452 },
  )
}

function shuttingDown(): GatewayError {
  return new GatewayError('ServiceUnavailable', 'the gateway is shutting down', { id: 1031 })
}

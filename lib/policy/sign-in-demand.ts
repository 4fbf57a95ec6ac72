/** What a policy demands of how somebody signed in, and what it has against a sign-in, in words. */
import type { AccessPolicy } from '../api/access-policy.generated.ts'
import type { FieldError } from './compiled-policy.ts'
import type { PolicyRef } from './decision.ts'
import { clipped, listed, policyName } from './deny-message.ts'
import { formatDuration, parseDuration } from './duration.ts'

export interface SignInDemand {
  maxAgeMs: number | undefined
  /** One of these; empty: any. */
  acr: string[]
  /** All of these. */
  amr: string[]
}

/** As far as the provider says. */
export interface SignInFacts {
  /** ms since the epoch. */
  at?: number
  acr?: string
  amr: readonly string[]
}

/** Nobody meets it: what cannot be read is taken in the sense that refuses more. */
const UNREADABLE_MS = 0

export function compileSignIn(
  signIn: AccessPolicy['spec']['signIn'],
  errors: FieldError[],
): SignInDemand | undefined {
  if (signIn === undefined) return undefined
  const { maxAge, acr = [], amr = [] } = signIn
  const maxAgeMs = maxAge === undefined ? undefined : (parseDuration(maxAge) ?? UNREADABLE_MS)
  if (maxAgeMs !== undefined && maxAgeMs <= 0) {
    errors.push({ field: 'spec.signIn.maxAge', message: 'is not a duration such as 15m' })
  }
  return { maxAgeMs, acr: [...acr], amr: [...amr] }
}

/** Clocks differ; what lies further ahead than this was never. */
const MAX_AHEAD_MS = 5 * 60_000

/** A demand, and whose it is. */
interface Demanding {
  ref: PolicyRef
  signIn: SignInDemand
}

function tooOld(
  maxAgeMs: number,
  at: number | undefined,
  now: number | undefined,
): string | undefined {
  const wanted = `a sign-in within the last ${formatDuration(maxAgeMs)}`
  if (at === undefined || now === undefined) {
    return `${wanted}, and your provider does not say when yours was (auth_time)`
  }
  const ageMs = now - at
  if (ageMs < -MAX_AHEAD_MS) return `${wanted}, and yours is said to be in the future (auth_time)`
  return ageMs <= maxAgeMs ? undefined : `${wanted}, and yours is ${formatDuration(ageMs)} old`
}

function objectionsOf(
  { maxAgeMs, acr, amr }: SignInDemand,
  facts: SignInFacts | undefined,
  now: number | undefined,
): string[] {
  const objections: string[] = []
  const age = maxAgeMs === undefined ? undefined : tooOld(maxAgeMs, facts?.at, now)
  if (age !== undefined) objections.push(age)
  if (!meetsClass(acr, facts)) {
    const yours = facts?.acr === undefined ? 'none' : clipped(facts.acr)
    const classes = listed(acr.map(clipped))
    objections.push(`a sign-in of the class ${classes}, and yours is of ${yours}`)
  }
  const missing = amr.filter((method) => facts?.amr.includes(method) !== true)
  if (missing.length > 0) {
    objections.push(`a sign-in with ${listed(missing.map(clipped))}, which yours was without`)
  }
  return objections
}

function meetsClass(acr: readonly string[], facts: SignInFacts | undefined): boolean {
  return acr.length === 0 || (facts?.acr !== undefined && acr.includes(facts.acr))
}

/** As a shell takes it for one word: people paste what a policy's author wrote. */
function word(text: string): string {
  if (/^[A-Za-z0-9_.:/@%+,-]+$/.test(text)) return text
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** One sign-in that meets all demands, since a second one would undo what the first was for. */
function remedy(demanding: readonly Demanding[], facts: SignInFacts | undefined): string {
  const run = 'Run: kubectl podgate login --fresh'
  const again = 'then run the same command again'
  const classes = demanding.map(({ signIn }) => signIn.acr).filter((acr) => acr.length > 0)
  if (classes.some((acr) => !meetsClass(acr, facts))) {
    const common = classes[0]?.find((acr) => classes.every((other) => other.includes(acr)))
    return common === undefined
      ? 'No sign-in is of both classes; ask the authors of these policies'
      : `${run} --acr ${word(common)}; ${again}`
  }
  const isShort = demanding.some(({ signIn }) =>
    signIn.amr.some((method) => facts?.amr.includes(method) !== true),
  )
  return `${run}${isShort ? ', and use it' : ''}; ${again}`
}

export interface SignInObjection {
  policy: PolicyRef
  /** `AccessPolicy shop/a: it asks for …. Run: …`. */
  words: string
}

/** Undefined: the sign-in is as all of the policies want it. */
export function signInObjection(
  policies: readonly { ref: PolicyRef; signIn: SignInDemand | undefined }[],
  facts: SignInFacts | undefined,
  now: number | undefined,
): SignInObjection | undefined {
  const demanding = policies.flatMap(({ ref, signIn }) =>
    signIn === undefined ? [] : [{ ref, signIn }],
  )
  const strictestMs = Math.min(...demanding.map(({ signIn }) => signIn.maxAgeMs ?? Infinity))
  const objecting = demanding.flatMap(({ ref, signIn }) => {
    // Of several ages only the smallest is told: who meets that meets the others.
    const told = signIn.maxAgeMs === strictestMs ? signIn : { ...signIn, maxAgeMs: undefined }
    const objections = objectionsOf(told, facts, now)
    return objections.length === 0
      ? []
      : [{ ref, words: `${policyName(ref)}: it asks for ${objections.join('; and for ')}` }]
  })
  const [first] = objecting
  if (first === undefined) return undefined
  const words = objecting.map((objection) => objection.words).join('; nor by ')
  return { policy: first.ref, words: `${words}. ${remedy(demanding, facts)}` }
}

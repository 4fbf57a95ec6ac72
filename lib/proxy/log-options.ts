/**
 * The query of a request for logs. PURE.
 *
 * Names and meaning: k8s.io/api core/v1 PodLogOptions, read by the rules of its conversion from
 * url.Values. What the gateway sends upstream is rebuilt from this, never copied from the client's
 * query. What PodLogOptions does not know the API server passes over, and so does this:
 * client-go adds `timeout`, others `pretty`. Values that are well-formed and make no sense (a
 * negative `tailLines`, a `stream` that this version has not) are refused by the API server in its
 * own words.
 */
import { GatewayError } from '../errors/gateway-error.ts'

const FLAGS = ['follow', 'previous', 'timestamps', 'insecureSkipTLSVerifyBackend'] as const
const NUMBERS = ['sinceSeconds', 'tailLines', 'limitBytes'] as const

export type LogOptions = Record<(typeof FLAGS)[number], boolean> &
  Record<(typeof NUMBERS)[number], bigint | undefined> & {
    container: string | undefined
    /** RFC 3339, as the client wrote it. */
    sinceTime: string | undefined
    /** `All`, `Stdout` or `Stderr`, since Kubernetes 1.32. */
    stream: string | undefined
  }

function bad(message: string): GatewayError {
  return new GatewayError('BadRequest', message, { id: 1011 })
}

function single(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1)
    throw bad(`the parameter ${name} is given ${values.length} times; give it once`)
  return values[0]
}

/** Everything but these two is true, also nothing (runtime.Convert_Slice_string_To_bool). */
function flag(value: string | undefined): boolean {
  return value !== undefined && value !== '0' && value.toLowerCase() !== 'false'
}

const INTEGER = /^[+-]?\d{1,19}$/
const INT64 = 2n ** 63n

function integer(name: string, value: string | undefined): bigint | undefined {
  if (value === undefined) return undefined
  if (!INTEGER.test(value)) throw bad(`the parameter ${name} must be a whole number`)
  const number = BigInt(value.startsWith('+') ? value.slice(1) : value)
  if (number >= INT64 || number < -INT64) throw bad(`the parameter ${name} is too large`)
  return number
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

function time(value: string | undefined): string | undefined {
  // Both are the zero time to Go (metav1.Time.UnmarshalQueryParameter).
  if (value === undefined || value === '' || value === 'null') return undefined
  if (!RFC3339.test(value))
    throw bad('the parameter sinceTime must be a time such as 2026-11-22T08:00:00Z (RFC 3339)')
  return value
}

function word(value: string | undefined): string | undefined {
  if (value === undefined) return undefined
  if (!/^[A-Za-z]{1,32}$/.test(value))
    throw bad('the parameter stream must be All, Stdout or Stderr')
  return value
}

/** @throws GatewayError BadRequest */
export function parseLogOptions(rawQuery: string): LogOptions {
  const query = new URLSearchParams(rawQuery)
  const value = (name: string): string | undefined => single(query, name)
  const container = value('container')
  return {
    container: container === '' ? undefined : container,
    follow: flag(value('follow')),
    previous: flag(value('previous')),
    timestamps: flag(value('timestamps')),
    insecureSkipTLSVerifyBackend: flag(value('insecureSkipTLSVerifyBackend')),
    sinceSeconds: integer('sinceSeconds', value('sinceSeconds')),
    tailLines: integer('tailLines', value('tailLines')),
    limitBytes: integer('limitBytes', value('limitBytes')),
    sinceTime: time(value('sinceTime')),
    stream: word(value('stream')),
  }
}

/** The query upstream, of one container by name: the one that was decided on. */
export function logQuery(options: LogOptions, container: string): string {
  const query = new URLSearchParams({ container })
  for (const name of FLAGS) if (options[name]) query.set(name, 'true')
  for (const name of [...NUMBERS, 'sinceTime', 'stream'] as const) {
    const value = options[name]
    if (value !== undefined) query.set(name, String(value))
  }
  return query.toString()
}

/** As kubectl spells them; what it has no word for as the API does. */
const KUBECTL_FLAGS: Record<string, string> = {
  insecureSkipTLSVerifyBackend: 'insecure-skip-tls-verify-backend',
  sinceTime: 'since-time',
  tailLines: 'tail',
  limitBytes: 'limit-bytes',
}

/**
 * For records and approvals: `--follow --tail=10`. Not the container, which has its own place.
 */
export function logWords(options: LogOptions): string[] {
  const words: string[] = []
  const name = (option: string): string => `--${KUBECTL_FLAGS[option] ?? option}`
  for (const option of FLAGS) if (options[option]) words.push(name(option))
  const { sinceSeconds } = options
  if (sinceSeconds !== undefined) words.push(`--since=${sinceSeconds}s`)
  for (const option of ['sinceTime', 'tailLines', 'limitBytes', 'stream'] as const) {
    const value = options[option]
    if (value !== undefined) words.push(`${name(option)}=${value}`)
  }
  return words
}

/**
 * What a TokenRequest asks for, as JSON and as kubectl sends it: protobuf. PURE.
 *
 * Layout: k8s.io/apimachinery pkg/runtime/generated.proto (Unknown) and
 * k8s.io/api/authentication/v1/generated.proto.
 */
import { isObject } from '../api/json-object.ts'
import { GatewayError } from '../errors/gateway-error.ts'

export interface TokenWish {
  /** What is sent on. */
  body: Buffer
  /** For policies' authors, approvers and the record. */
  words: string[]
}

/** Said of what nobody here can read; whoever approves it approves anything. */
const UNKNOWN = ['--parameters=unknown']

/** As kubectl create token writes it. */
function jsonWords(spec: Record<string, unknown>): string[] {
  const { audiences, expirationSeconds, boundObjectRef: bound } = spec
  const words: string[] = []
  if (Array.isArray(audiences)) {
    words.push(...audiences.map((audience) => `--audience=${String(audience)}`))
  }
  if (typeof expirationSeconds === 'number') words.push(`--duration=${expirationSeconds}s`)
  if (isObject(bound)) {
    words.push(`--bound-object-kind=${String(bound['kind'])}`)
    words.push(`--bound-object-name=${String(bound['name'])}`)
  }
  return words
}

/** One field of a protobuf message: a number, or what has a length. */
interface Field {
  number: number
  value: number | Buffer
}

/** Ends the reading of what is not as a client of Kubernetes writes it. */
class Unreadable extends Error {}

function readVarint(bytes: Buffer, from: number): { value: number; next: number } {
  let value = 0
  for (let n = 0; n < 8; n += 1) {
    const byte = bytes[from + n]
    if (byte === undefined) break
    value += (byte & 0x7f) * 2 ** (7 * n)
    if (byte < 0x80 && Number.isSafeInteger(value)) return { value, next: from + n + 1 }
  }
  throw new Unreadable()
}

/** Wire types 0 and 2; a TokenRequest has no others. */
function readFields(bytes: Buffer): Field[] {
  const fields: Field[] = []
  let at = 0
  while (at < bytes.length) {
    const tag = readVarint(bytes, at)
    const number = Math.floor(tag.value / 8)
    const { value, next } = readVarint(bytes, tag.next)
    if (tag.value % 8 === 0) {
      fields.push({ number, value })
      at = next
      continue
    }
    if (tag.value % 8 !== 2 || next + value > bytes.length) throw new Unreadable()
    fields.push({ number, value: bytes.subarray(next, next + value) })
    at = next + value
  }
  return fields
}

/** A message within a message. What comes twice is read differently by different readers. */
function only(fields: Field[], number: number): Buffer | undefined {
  const found = fields.filter((field) => field.number === number)
  const [first] = found
  if (found.length > 1 || typeof first?.value === 'number') throw new Unreadable()
  return first?.value
}

function texts(fields: Field[], number: number): string[] {
  return fields
    .filter((field) => field.number === number)
    .map(({ value }) => {
      if (typeof value === 'number') throw new Unreadable()
      return value.toString('utf8')
    })
}

const MAGIC = Buffer.from('k8s\0')

/** @throws Unreadable */
function protobufWords(body: Buffer): string[] {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw new Unreadable()
  const envelope = readFields(body.subarray(MAGIC.length))
  // What is within could be of another encoding or type; clients leave both empty.
  if ([3, 4].some((number) => (only(envelope, number)?.length ?? 0) > 0)) throw new Unreadable()
  const request = only(envelope, 2)
  const spec = readFields(only(readFields(request ?? Buffer.alloc(0)), 2) ?? Buffer.alloc(0))
  const words = texts(spec, 1).map((audience) => `--audience=${audience}`)
  const durations = spec.filter(({ number }) => number === 4)
  if (durations.length > 1) throw new Unreadable()
  for (const { value } of durations) {
    if (typeof value !== 'number') throw new Unreadable()
    words.push(`--duration=${value}s`)
  }
  const bound = only(spec, 3)
  if (bound === undefined) return words
  const reference = readFields(bound)
  words.push(`--bound-object-kind=${texts(reference, 1).join()}`)
  words.push(`--bound-object-name=${texts(reference, 3).join()}`)
  return words
}

/** JSON is sent on as it was understood: of two keys of one name another reader may take the other. */
function readJson(body: Buffer): TokenWish {
  let asked: unknown
  try {
    asked = JSON.parse(body.toString('utf8'))
  } catch {
    asked = undefined
  }
  if (!isObject(asked)) {
    throw new GatewayError(
      'BadRequest',
      'the TokenRequest is not a JSON object; use kubectl create token',
      { id: 1047 },
    )
  }
  const spec = isObject(asked['spec']) ? asked['spec'] : {}
  return { body: Buffer.from(JSON.stringify(asked)), words: jsonWords(spec) }
}

/** @throws GatewayError BadRequest */
export function readTokenWish(contentType: string | undefined, body: Buffer): TokenWish {
  const type = (contentType ?? 'application/json').split(';')[0]?.trim().toLowerCase()
  if (type === 'application/json') return readJson(body)
  if (type !== 'application/vnd.kubernetes.protobuf') return { body, words: UNKNOWN }
  try {
    return { body, words: protobufWords(body) }
  } catch (error) {
    if (error instanceof Unreadable) return { body, words: UNKNOWN }
    throw error
  }
}

/**
 * Frames: how what a session showed is kept. PURE (zstd runs on Node's threads).
 *
 * One document holds many entries. Its body:
 *
 *   +--------+--------------------------------------+----------------------+
 *   | count  | count x | kind | atMs delta | length | | entries' bytes,      |
 *   | varint |         | u8   | zigzag     | varint | | one after another    |
 *   +--------+--------------------------------------+----------------------+
 *
 * Varints are LEB128; the first delta counts from 0, each next from the entry
 * before. The document's `data` is the body itself (`raw`) or its zstd frame.
 *
 * A frame's place is its `_id`, `session/seq`. Only one document can have it,
 * on any MongoDB there is, and everything else rests on that: a repeated insert
 * stores nothing twice, and the session's end, which is put in the first free
 * place, stops every writer that comes after.
 */
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'

import { GatewayError } from '../errors/gateway-error.ts'
import { compress } from './compress.ts'
import type { TerminalRecord } from './session-document.ts'

export const FRAME_SCHEMA_VERSION = 1

/** A kind's place in this list is its byte in the frame: append only. */
const ENTRY_KINDS = [
  'stdout',
  'stderr',
  'error',
  'resize',
  'note',
  'stdin',
  'event',
  'forward',
] as const

/**
 * `event`: one JSON document of lib/recording/event.ts. `forward`: bytes of one forwarded TCP
 * connection behind a head of five bytes (1 = to the pod, 2 = from it; the connection as u32, big
 * endian).
 */
export type EntryKind = (typeof ENTRY_KINDS)[number]

export interface Entry {
  kind: EntryKind
  /** Milliseconds since the session began. */
  atMs: number
  data: Uint8Array
}

export type FrameEncoding = 'raw' | 'zstd'

interface FrameBase {
  _id: string
  session: string
  seq: number
  schemaVersion: number
  /** Who wrote it, unique to one recording; tells its own repeated insert from another's. */
  writer: string
}

export interface DataFrame extends FrameBase {
  kind: 'data'
  encoding: FrameEncoding
  /** Length of the body. */
  size: number
  data: Uint8Array
}

export interface EndFrame extends FrameBase {
  kind: 'end'
  end: TerminalRecord
}

export type FrameDocument = DataFrame | EndFrame

/** Zero-padded, so that the order of ids is the order of frames. */
export function frameId(session: string, seq: number): string {
  return `${session}/${String(seq).padStart(10, '0')}`
}

/** Below this zstd's own header and our thread hop cost more than they save. */
const MIN_COMPRESS_BYTES = 512
/** A body is kept compressed only when that saves at least a sixteenth. */
const MIN_SAVING = 1 / 16
/** No writer of ours makes a larger body; a stored length above it is a lie or a bomb. */
const MAX_BODY_BYTES = 16 * 1024 * 1024

const decompress = promisify(
  (
    body: Uint8Array,
    options: Parameters<typeof zstdDecompress>[1],
    done: (error: Error | null, result: Buffer) => void,
  ) => zstdDecompress(body, options, done),
)

export interface FrameOptions {
  session: string
  seq: number
  writer: string
}

export async function encodeFrame(
  entries: readonly Entry[],
  place: FrameOptions,
): Promise<DataFrame> {
  return await packFrame(layOut(entries).body, place)
}

/** Keeps no view of `body` once it has resolved with an encoding other than `raw`. */
export async function packFrame(body: Uint8Array, place: FrameOptions): Promise<DataFrame> {
  let encoding: FrameEncoding = 'raw'
  let data = body
  if (body.length >= MIN_COMPRESS_BYTES && !looksRandom(body)) {
    const packed = await compress(body)
    if (packed.length <= body.length * (1 - MIN_SAVING)) {
      encoding = 'zstd'
      data = packed
    }
  }
  return {
    _id: frameId(place.session, place.seq),
    session: place.session,
    seq: place.seq,
    schemaVersion: FRAME_SCHEMA_VERSION,
    writer: place.writer,
    kind: 'data',
    encoding,
    size: body.length,
    data,
  }
}

export async function decodeFrame(frame: DataFrame): Promise<Entry[]> {
  if (frame.schemaVersion !== FRAME_SCHEMA_VERSION) {
    throw unreadable(frame, `its schema version ${frame.schemaVersion} is not known here`)
  }
  if (!(frame.size >= 1 && frame.size <= MAX_BODY_BYTES))
    throw unreadable(frame, 'its size is wrong')
  let body = frame.data
  if (frame.encoding === 'zstd') {
    try {
      body = await decompress(frame.data, { maxOutputLength: frame.size })
    } catch (error) {
      throw unreadable(frame, 'it does not decompress', error)
    }
  } else if (frame.encoding !== 'raw') {
    throw unreadable(frame, 'its encoding is not known here')
  }
  if (body.length !== frame.size) throw unreadable(frame, 'it is cut short')
  const entries = decodeBody(body)
  if (entries === undefined) throw unreadable(frame, 'its body is damaged')
  return entries
}

function unreadable(frame: DataFrame, why: string, cause?: unknown): GatewayError {
  return new GatewayError(
    'InternalError',
    `frame ${frame.seq} of the transcript of session ${frame.session} cannot be read: ${why}`,
    { id: 1013, cause },
  )
}

export interface LaidOut {
  body: Uint8Array
  /** The same entries, with views of `body` for bytes; each begins where the one before ends. */
  entries: Entry[]
}

export function encodeBody(entries: readonly Entry[]): Uint8Array {
  return layOut(entries).body
}

export function layOut(entries: readonly Entry[]): LaidOut {
  const header: number[] = []
  pushVarint(header, entries.length)
  let previous = 0
  let bytes = 0
  for (const { kind, atMs, data } of entries) {
    const at = Math.max(0, Math.floor(atMs))
    header.push(ENTRY_KINDS.indexOf(kind))
    const delta = at - previous
    pushVarint(header, delta < 0 ? -delta * 2 - 1 : delta * 2)
    pushVarint(header, data.length)
    previous = at
    bytes += data.length
  }
  const body = Buffer.allocUnsafe(header.length + bytes)
  body.set(header, 0)
  let offset = header.length
  const moved = entries.map(({ kind, atMs, data }) => {
    body.set(data, offset)
    const end = offset + data.length
    const view = body.subarray(offset, end)
    offset = end
    return { kind, atMs, data: view }
  })
  return { body, entries: moved }
}

/** Undefined when `body` was not made by `encodeBody`. Entries' data are views of `body`. */
export function decodeBody(body: Uint8Array): Entry[] | undefined {
  const reader = { body, offset: 0 }
  const count = readVarint(reader)
  // Each entry needs three bytes of header at least, so a lie about the count is found before memory is taken.
  if (count === undefined || count > body.length / 3) return undefined
  const heads: { kind: EntryKind; atMs: number; length: number }[] = []
  let atMs = 0
  for (let index = 0; index < count; index++) {
    const kind = ENTRY_KINDS[body[reader.offset++] ?? 255]
    const delta = readVarint(reader)
    const length = readVarint(reader)
    if (kind === undefined || delta === undefined || length === undefined) return undefined
    atMs += delta % 2 === 0 ? delta / 2 : -(delta + 1) / 2
    if (atMs < 0) return undefined
    heads.push({ kind, atMs, length })
  }
  let offset = reader.offset
  const entries = heads.map((head) => {
    const data = body.subarray(offset, offset + head.length)
    offset += head.length
    return { kind: head.kind, atMs: head.atMs, data }
  })
  return offset === body.length ? entries : undefined
}

/** Arithmetic instead of shifts: values go up to 2^53, JavaScript's shifts to 2^31. */
function pushVarint(out: number[], value: number): void {
  let rest = value
  while (rest >= 128) {
    out.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  out.push(rest)
}

function readVarint(reader: { body: Uint8Array; offset: number }): number | undefined {
  let value = 0
  let scale = 1
  for (let length = 0; length < 8; length++) {
    const byte = reader.body[reader.offset++]
    if (byte === undefined) return undefined
    value += (byte % 128) * scale
    if (!Number.isSafeInteger(value)) return undefined
    if (byte < 128) return value
    scale *= 128
  }
  return undefined
}

const SAMPLE_BYTES = 1024
const SAMPLES = 3
/** Bits of entropy per byte; 3 KiB of random bytes measure 7.93 +- 0.01, text 4 to 6. */
const RANDOM_ENTROPY = 7.6

/**
 * A look at three kilobytes, to spare zstd what is encrypted or compressed already: it would
 * read everything to win nothing.
 */
export function looksRandom(body: Uint8Array): boolean {
  if (body.length < SAMPLE_BYTES * SAMPLES) return false
  const histogram = new Uint32Array(256)
  const gap = Math.floor((body.length - SAMPLE_BYTES) / (SAMPLES - 1))
  for (let sample = 0; sample < SAMPLES; sample++) {
    const start = sample * gap
    for (let index = start; index < start + SAMPLE_BYTES; index++) {
      const byte = body[index] ?? 0
      histogram[byte] = (histogram[byte] ?? 0) + 1
    }
  }
  const total = SAMPLE_BYTES * SAMPLES
  let entropy = 0
  for (const count of histogram) {
    if (count > 0) entropy -= (count / total) * Math.log2(count / total)
  }
  return entropy > RANDOM_ENTROPY
}

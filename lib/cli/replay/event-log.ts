/**
 * What a transcript says beside bytes, in words: connections, files, requests, debug containers,
 * and digests where the bytes were not kept. PURE.
 *
 * The events are those of lib/recording/event.ts; one that a later version writes is shown as it is.
 */
import { bytesText } from '../byte-count.ts'
import { numberAt, textAt, valueAt } from '../json-value.ts'
import type { TranscriptEntry } from './entry.ts'

export interface EventLog {
  /** What happened, to be told in its time; undefined when there is nothing to tell now. */
  line(entry: TranscriptEntry): string | undefined
  /** What can only be told at the end. */
  summary(): string[]
}

const FORWARD_UP = 1
/** Direction and number of the connection. */
const FORWARD_HEAD_BYTES = 5

export function createEventLog(): EventLog {
  /** The last one of a channel is of all its bytes. */
  const digests = new Map<string, string>()
  const forwarded = { up: 0, down: 0 }
  const connections = new Set<number>()
  let input = 0

  function take(data: Uint8Array): string | undefined {
    const event = parse(data)
    const type = textAt(event, 'type')
    if (type === 'digest') {
      digests.set(textAt(event, 'channel') ?? '', digestText(event))
      return undefined
    }
    const telling = type === undefined ? undefined : TELLING[type]
    return telling === undefined ? `event: ${Buffer.from(data).toString('utf8')}` : telling(event)
  }

  return {
    line({ kind, data }) {
      if (kind === 'event') return take(data)
      if (kind === 'stdin') input += data.length
      if (kind === 'forward' && data.length >= FORWARD_HEAD_BYTES) {
        connections.add(Buffer.from(data).readUInt32BE(1))
        forwarded[data[0] === FORWARD_UP ? 'up' : 'down'] += data.length - FORWARD_HEAD_BYTES
      }
      return undefined
    },
    summary() {
      const lines = [...digests].map(
        ([channel, digest]) => `The content of ${channel} was not kept, only its digest: ${digest}`,
      )
      if (input > 0)
        lines.push(`The input was kept as well (${bytesText(input)}); it is not shown.`)
      if (connections.size > 0) {
        const { up, down } = forwarded
        lines.push(
          `What ${connections.size} connections carried was kept as well (${bytesText(up)} to the pod, ${bytesText(down)} from it); it is not shown.`,
        )
      }
      return lines
    },
  }
}

type Telling = (event: unknown) => string | undefined

const TELLING: Readonly<Record<string, Telling | undefined>> = {
  connectionOpened: (event) => `${connectionText(event)} opened`,
  connectionRefused: (event) =>
    `${connectionText(event)} refused: ${textAt(event, 'message') ?? 'no reason given'}`,
  connectionClosed: (event) =>
    `${connectionText(event)} closed (${textAt(event, 'reason') ?? 'no reason given'}): to the pod ${digestText(valueAt(event, 'up'))}; from it ${digestText(valueAt(event, 'down'))}`,
  // The last of them is told with the end of each connection.
  connectionDigests: () => undefined,
  file: fileText,
  request: (event) =>
    `${textAt(event, 'method') ?? '?'} ${textAt(event, 'path') ?? '?'}: HTTP ${numberAt(event, 'status') ?? '?'}`,
  debug: (event) =>
    `debug container ${textAt(event, 'container') ?? '?'} of image ${textAt(event, 'image') ?? '?'}: ${JSON.stringify(valueAt(event, 'detail') ?? {})}`,
}

function connectionText(event: unknown): string {
  return `connection ${numberAt(event, 'connection') ?? '?'} to port ${numberAt(event, 'port') ?? '?'}`
}

function digestText(digest: unknown): string {
  const bytes = numberAt(digest, 'bytes')
  const sha256 = textAt(digest, 'sha256')
  const size = bytes === undefined ? 'unknown size' : bytesText(bytes)
  return sha256 === undefined ? size : `${size}, SHA-256 ${sha256}`
}

function fileText(event: unknown): string {
  const direction = textAt(event, 'direction') === 'Upload' ? 'to the pod' : 'from the pod'
  const kind = textAt(event, 'kind') ?? 'file'
  const mode = numberAt(event, 'mode')
  const link = textAt(event, 'linkTarget')
  const sha256 = textAt(event, 'sha256')
  const masked = numberAt(event, 'masked') ?? 0
  const facts = [
    `${kind} ${direction}`,
    bytesText(numberAt(event, 'size') ?? 0),
    ...(mode === undefined ? [] : [`mode ${mode.toString(8).padStart(4, '0')}`]),
    ...(sha256 === undefined ? [] : [`SHA-256 ${sha256}`]),
    ...(masked === 0 ? [] : [`${masked} values masked`]),
  ]
  const target = link === undefined ? '' : ` -> ${link}`
  return `${textAt(event, 'path') ?? '?'}${target} (${facts.join(', ')})`
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

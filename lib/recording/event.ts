/**
 * What a transcript says beside bytes: one JSON document per entry of kind `event`. PURE.
 */
import type { Entry } from './frame.ts'

/** Of what went over one channel or connection, as `lib/recording/digest.ts` counts it. */
export interface ChannelDigest {
  bytes: number
  /** Hex, of all bytes so far. */
  sha256: string
}

export type SessionEvent =
  /** `content: Digest`: what has left by now, without its bytes. */
  | ({ type: 'digest'; channel: 'stdin' | 'stdout' | 'stderr' } & ChannelDigest)
  /** One forwarded TCP connection: before its first byte, and at its end. */
  | { type: 'connectionOpened'; connection: number; port: number; policies: string[] }
  | { type: 'connectionRefused'; connection: number; port: number; message: string }
  | {
      type: 'connectionClosed'
      connection: number
      port: number
      reason: string
      /** From the client to the pod. */
      up: ChannelDigest
      /** From the pod to the client. */
      down: ChannelDigest
    }
  /** `content: Digest`: what the connections have carried by now. */
  | {
      type: 'connectionDigests'
      connections: { connection: number; up: ChannelDigest; down: ChannelDigest }[]
    }
  /** One member of the archive of `kubectl cp`. */
  | {
      type: 'file'
      direction: 'Download' | 'Upload'
      path: string
      kind: string
      size: number
      mode: number
      sha256?: string
      linkTarget?: string
      /** Only where text was masked on the way out. */
      maskedSha256?: string
      masked?: number
    }
  /** One HTTP request of the operations that are one. No query: it may hold personal data. */
  | { type: 'request'; method: string; path: string; status: number }
  /** A debug container or pod as it was decided on. */
  | { type: 'debug'; container: string; image: string; detail: Record<string, unknown> }

export function eventEntry(event: SessionEvent, atMs: number): Entry {
  return { kind: 'event', atMs, data: Buffer.from(JSON.stringify(event)) }
}

/** Undefined when the bytes are no event of this version or a later one. */
export function parseEvent(data: Uint8Array): SessionEvent | undefined {
  try {
    const event: unknown = JSON.parse(Buffer.from(data).toString('utf8'))
    const isEvent =
      typeof event === 'object' &&
      event !== null &&
      typeof (event as { type?: unknown }).type === 'string'
    return isEvent ? (event as SessionEvent) : undefined
  } catch {
    return undefined
  }
}

/**
 * Reads a tar archive as it passes: ustar, GNU (long names, base-256, sparse) and PAX.
 *
 * Every input byte is in exactly one event, in order, so that what the caller passes on is the
 * archive itself; content is given as views of the input. Headers are held until the entry they
 * describe is known (at most about four long names), so that a refused entry never leaves, and
 * neither do its headers. The events do not depend on how the input was cut, but for where content
 * and padding are cut.
 *
 * Strict where readers differ: an archive that the tar in the container and this one could take
 * differently is a violation, or is told in the entry (`otherPaths`, `plainSize`).
 */
import { parsePaxRecords } from './pax-records.ts'
import { quotePath } from './quote-path.ts'
import { composeEntry, isSparseKey, type Announced, type TarEntry } from './tar-entry.ts'
import {
  BLOCK,
  SPARSE_MAP_FLAG,
  isZeroBlock,
  parseTarHeader,
  textAt,
  type TarHeader,
} from './tar-header.ts'
import { TarViolation, isTarViolation } from './tar-violation.ts'

export type { TarEntry, TarKind } from './tar-entry.ts'

export type TarEvent =
  /** All headers of one entry, their long names and PAX records included. */
  | { kind: 'header'; entry: TarEntry; raw: readonly Uint8Array[] }
  | { kind: 'data'; bytes: Uint8Array }
  /** All content of the entry has come; also for an entry without any. Holds no bytes. */
  | { kind: 'entryEnd' }
  /** Fills the last block of a content. */
  | { kind: 'padding'; bytes: Uint8Array }
  /** The zero blocks at the end, and what follows them. */
  | { kind: 'trailer'; bytes: Uint8Array }
  /** The last event: what came since the one before is not given out. */
  | { kind: 'violation'; violation: TarViolation }

export interface TarReaderOptions {
  /** Of one long name or PAX header, bytes. */
  maxHeaderBody?: number
  /** Characters. */
  maxPath?: number
}

type State = 'header' | 'body' | 'map' | 'data' | 'padding' | 'afterZero' | 'trailer' | 'failed'

/** Headers that announce, by type. */
const ANNOUNCING: Readonly<Record<string, string>> = {
  L: 'long name',
  K: 'long link target',
  x: 'extended header',
  g: 'global extended header',
}
/** A long name, a long link target, PAX records, and global ones or a sparse file's map. */
const HELD_BODIES = 4
const NOTHING: Announced = { longName: undefined, longLink: undefined, pax: undefined }

export class TarReader {
  private readonly maxHeaderBody: number
  private readonly maxPath: number
  private state: State = 'header'
  private events: TarEvent[] = []
  private block = new Uint8Array(BLOCK)
  private filled = 0
  private held: Uint8Array[] = []
  private heldBytes = 0
  private announced: Announced = NOTHING
  /** The header whose body or map is read now. */
  private header: TarHeader | undefined
  private entryPath = ''
  /** Bytes of the content, or of the padding, that are to come. */
  private remaining = 0
  private padding = 0
  private trailing = 0

  constructor(options: TarReaderOptions = {}) {
    this.maxHeaderBody = options.maxHeaderBody ?? 64 * 1024
    this.maxPath = options.maxPath ?? 4096
  }

  /** Bytes after the two zero blocks that end the archive. */
  get trailingBytes(): number {
    return this.trailing
  }

  /** Nothing more comes out after a violation. */
  push(chunk: Uint8Array): TarEvent[] {
    return this.collecting(() => {
      for (let at = 0; at < chunk.length && this.state !== 'failed';) at += this.take(chunk, at)
    })
  }

  /** The stream has ended; a violation when the archive had not. */
  end(): TarEvent[] {
    return this.collecting(() => {
      if (this.state === 'failed' || this.state === 'trailer') return
      const partial = this.block.subarray(0, this.filled)
      if (this.state === 'afterZero' && isZeroBlock(partial)) {
        if (partial.length > 0) this.events.push({ kind: 'trailer', bytes: partial })
        this.state = 'trailer'
      } else if (this.state !== 'header' || this.filled > 0 || this.heldBytes > 0) {
        const where = this.state === 'data' ? `inside ${quotePath(this.entryPath)}` : 'too early'
        throw new TarViolation(`the archive ends ${where}`)
      }
    })
  }

  private collecting(read: () => void): TarEvent[] {
    const events: TarEvent[] = []
    this.events = events
    try {
      read()
    } catch (error) {
      if (!isTarViolation(error)) throw error
      this.state = 'failed'
      this.held = []
      events.push({ kind: 'violation', violation: error })
    }
    this.events = []
    return events
  }

  /** Gives how many bytes of the chunk were taken. */
  private take(chunk: Uint8Array, at: number): number {
    switch (this.state) {
      case 'data':
      case 'padding':
        return this.pass(this.state, chunk, at)
      case 'trailer':
        this.trailing += chunk.length - at
        this.events.push({ kind: 'trailer', bytes: at === 0 ? chunk : chunk.subarray(at) })
        return chunk.length - at
      default:
        return this.fill(chunk, at)
    }
  }

  private pass(kind: 'data' | 'padding', chunk: Uint8Array, at: number): number {
    const length = Math.min(this.remaining, chunk.length - at)
    this.events.push({ kind, bytes: chunk.subarray(at, at + length) })
    this.remaining -= length
    if (this.remaining > 0) return length
    if (kind === 'data') this.endEntry()
    else this.state = 'header'
    return length
  }

  /** Collects a block, or a whole body. */
  private fill(chunk: Uint8Array, at: number): number {
    const { block } = this
    const length = Math.min(block.length - this.filled, chunk.length - at)
    block.set(chunk.subarray(at, at + length), this.filled)
    this.filled += length
    if (this.filled < block.length) return length
    this.block = new Uint8Array(BLOCK)
    this.filled = 0
    if (this.state === 'body') this.readBody(block)
    else if (this.state === 'map') this.readMap(block)
    else this.readHeader(block)
    return length
  }

  private readHeader(block: Uint8Array): void {
    if (isZeroBlock(block)) return this.readZeroBlock(block)
    // GNU tar stops at a lone zero block, BusyBox goes on: what follows would be unseen.
    if (this.state === 'afterZero') {
      throw new TarViolation('a block of zeros stands before the end of the archive')
    }
    const header = parseTarHeader(block)
    this.hold(block)
    const announces = Object.hasOwn(ANNOUNCING, header.type) ? ANNOUNCING[header.type] : undefined
    if (announces !== undefined) this.announce(header, announces)
    else if (header.hasMoreMap) {
      this.header = header
      this.state = 'map'
    } else this.begin(header)
  }

  private readZeroBlock(block: Uint8Array): void {
    if (this.announced !== NOTHING) {
      throw new TarViolation('the archive ends after a header that announces an entry')
    }
    for (const bytes of [...this.held, block]) this.events.push({ kind: 'trailer', bytes })
    this.held = []
    this.heldBytes = 0
    this.state = this.state === 'afterZero' ? 'trailer' : 'afterZero'
  }

  private announce(header: TarHeader, what: string): void {
    if (header.size > this.maxHeaderBody) {
      throw new TarViolation(
        `a ${what} has ${header.size} bytes; at most ${this.maxHeaderBody} are taken`,
      )
    }
    this.header = header
    if (header.size === 0) return this.readBody(new Uint8Array(0))
    this.block = new Uint8Array(Math.ceil(header.size / BLOCK) * BLOCK)
    this.state = 'body'
  }

  private readBody(padded: Uint8Array): void {
    const { header, announced } = this
    if (header === undefined) return
    if (padded.length > 0) this.hold(padded)
    this.state = 'header'
    const body = padded.subarray(0, header.size)
    if (header.type === 'x') {
      if (announced.pax !== undefined) throw announcedTwice('extended header')
      this.announced = { ...announced, pax: parsePaxRecords(body) }
    } else if (header.type === 'g') {
      refuseGlobalNames(parsePaxRecords(body))
    } else if (header.type === 'L') {
      if (announced.longName !== undefined) throw announcedTwice('long name')
      this.announced = { ...announced, longName: textAt(body, 0, body.length) }
    } else {
      if (announced.longLink !== undefined) throw announcedTwice('long link target')
      this.announced = { ...announced, longLink: textAt(body, 0, body.length) }
    }
  }

  private readMap(block: Uint8Array): void {
    this.hold(block)
    if (block[SPARSE_MAP_FLAG] === 0 && this.header !== undefined) this.begin(this.header)
  }

  private begin(header: TarHeader): void {
    const entry = composeEntry(header, this.announced, this.maxPath)
    this.events.push({ kind: 'header', entry, raw: this.held })
    this.held = []
    this.heldBytes = 0
    this.announced = NOTHING
    this.header = undefined
    this.entryPath = entry.path
    this.remaining = entry.size
    this.padding = (BLOCK - (entry.size % BLOCK)) % BLOCK
    this.state = 'data'
    if (entry.size === 0) this.endEntry()
  }

  private endEntry(): void {
    this.events.push({ kind: 'entryEnd' })
    this.remaining = this.padding
    this.state = this.padding > 0 ? 'padding' : 'header'
  }

  private hold(bytes: Uint8Array): void {
    this.held.push(bytes)
    this.heldBytes += bytes.length
    const limit = HELD_BODIES * (this.maxHeaderBody + 2 * BLOCK)
    if (this.heldBytes > limit) {
      throw new TarViolation(`the headers of an entry are over ${limit} bytes`)
    }
  }
}

function announcedTwice(what: string): TarViolation {
  return new TarViolation(`an entry has a second ${what}`)
}

/** Go ignores these in a global header, GNU tar does not. */
function refuseGlobalNames(records: ReadonlyMap<string, string>): void {
  const key = [...records.keys()].find(
    (name) => name === 'path' || name === 'linkpath' || name === 'size' || isSparseKey(name),
  )
  if (key !== undefined)
    throw new TarViolation(`a global extended header sets ${quotePath(key)} of all`)
}

/**
 * Masks the text files of an archive on their way out. Headers stay as they are, and so does the
 * length of every file: a masker only ever shortens (a character of several bytes becomes one
 * star), and the rest is filled with spaces at the file's end.
 *
 * A file is text when its first 8 KiB hold no NUL byte; so much of a file is held back, and what
 * the masker holds. The output does not depend on how the input was cut.
 */
import { createHash, type Hash } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import { CopyLedger, type FileRecord } from './copy-ledger.ts'
import { quotePath } from './quote-path.ts'
import type { TarEntry, TarEvent } from './tar-reader.ts'

/** A masker of one stream, such as createMasker of lib/masking makes. */
export interface ContentMasker {
  push(chunk: Uint8Array): Uint8Array[]
  end(): Uint8Array[]
  /** Matches so far, by rule. */
  readonly counts: ReadonlyMap<string, number>
}

export interface MaskedFileRecord extends FileRecord {
  /** Of the content that left; the same as `sha256` when nothing was masked. */
  maskedSha256: string | undefined
  /** Matches in this file. */
  masked: number
}

export interface MaskedPart {
  /** To be passed on; views of the input where nothing was masked. */
  bytes: Uint8Array[]
  /** The record of the entry that ended. */
  file: MaskedFileRecord | undefined
}

const HEAD = 8 * 1024
const SPACES: Uint8Array = new Uint8Array(64 * 1024).fill(0x20)
const NOTHING: MaskedPart = { bytes: [], file: undefined }

export class TarMask {
  /** Matches of all files so far, by rule. */
  readonly counts: Map<string, number> = new Map()
  private readonly createMasker: () => ContentMasker
  private readonly ledger = new CopyLedger()
  private content: MaskedContent | undefined

  constructor(createMasker: () => ContentMasker) {
    this.createMasker = createMasker
  }

  /** Throws GatewayError 1042 for a file that cannot be masked, before any byte of it is given out. */
  take(event: TarEvent): MaskedPart {
    switch (event.kind) {
      case 'header':
        refuseSparse(event.entry)
        this.ledger.take(event)
        this.content = new MaskedContent(event.entry, this.createMasker)
        return { bytes: [...event.raw], file: undefined }
      case 'data':
        this.ledger.take(event)
        return { bytes: this.content?.push(event.bytes) ?? [], file: undefined }
      case 'entryEnd':
        return this.finish(event)
      case 'padding':
      case 'trailer':
        return { bytes: [event.bytes], file: undefined }
      default:
        return NOTHING
    }
  }

  private finish(event: TarEvent): MaskedPart {
    const { content } = this
    const record = this.ledger.take(event)
    this.content = undefined
    if (content === undefined || record === undefined) return NOTHING
    const bytes = content.end()
    let masked = 0
    for (const [rule, count] of content.counts) {
      masked += count
      this.counts.set(rule, (this.counts.get(rule) ?? 0) + count)
    }
    const maskedSha256 = record.sha256 === undefined ? undefined : content.digest(record.sha256)
    return { bytes, file: { ...record, maskedSha256, masked } }
  }
}

/** The content of one file. */
class MaskedContent {
  private readonly path: string
  private readonly createMasker: () => ContentMasker
  private masker: ContentMasker | undefined
  private hash: Hash | undefined
  /** The start of the file, until it is known whether it is text; undefined after that. */
  private head: Uint8Array | undefined
  private filled = 0
  private taken = 0
  private given = 0

  constructor({ path, size }: TarEntry, createMasker: () => ContentMasker) {
    this.path = path
    this.createMasker = createMasker
    this.head = size === 0 ? undefined : new Uint8Array(Math.min(HEAD, size))
  }

  get counts(): ReadonlyMap<string, number> {
    return this.masker?.counts ?? new Map<string, number>()
  }

  push(bytes: Uint8Array): Uint8Array[] {
    this.taken += bytes.length
    const { head } = this
    if (head === undefined) return this.mask(bytes)
    if (this.filled === 0 && bytes.length >= head.length) {
      this.decide(bytes.subarray(0, head.length))
      return this.mask(bytes)
    }
    const part = bytes.subarray(0, head.length - this.filled)
    head.set(part, this.filled)
    this.filled += part.length
    if (this.filled < head.length) return []
    this.decide(head)
    const out = this.mask(head)
    if (part.length < bytes.length) out.push(...this.mask(bytes.subarray(part.length)))
    return out
  }

  /** The end of the file, with what fills it. */
  end(): Uint8Array[] {
    if (this.masker === undefined) return []
    const out = this.leaving(this.masker.end())
    const spaces: Uint8Array[] = []
    for (let rest = this.taken - this.given; rest > 0; rest -= SPACES.length) {
      spaces.push(rest < SPACES.length ? SPACES.subarray(0, rest) : SPACES)
    }
    for (const piece of this.leaving(spaces)) out.push(piece)
    return out
  }

  /** `original` is right when nothing went through the masker. */
  digest(original: string): string {
    return this.hash === undefined ? original : this.hash.digest('hex')
  }

  private decide(head: Uint8Array): void {
    this.head = undefined
    if (head.includes(0)) return
    this.masker = this.createMasker()
    this.hash = createHash('sha256')
  }

  private mask(bytes: Uint8Array): Uint8Array[] {
    return this.masker === undefined ? [bytes] : this.leaving(this.masker.push(bytes))
  }

  /** Fails closed before a byte too many leaves: it would be read as the next header. */
  private leaving(pieces: Uint8Array[]): Uint8Array[] {
    for (const piece of pieces) {
      this.given += piece.length
      this.hash?.update(piece)
    }
    if (this.given <= this.taken) return pieces
    throw unmaskable(this.path, 'masking would make it longer')
  }
}

/** The content begins with the map of the holes, and is not the file's text. */
function refuseSparse(entry: TarEntry): void {
  if (entry.isSparse) throw unmaskable(entry.path, 'it is stored with holes')
}

function unmaskable(path: string, why: string): GatewayError {
  return new GatewayError(
    'Forbidden',
    `${quotePath(path)} cannot be masked: ${why}. The copy was stopped before it. ` +
      'Leave this file out, or have the policy allow copies without maskText',
    { id: 1042 },
  )
}

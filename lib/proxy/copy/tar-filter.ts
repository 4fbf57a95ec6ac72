/**
 * What `kubectl cp` moves, on its way: every entry of the archive is decided before its header goes
 * on, told to the transcript when it is complete, and masked where the policy says so. Nothing of
 * ours is ever added to the stream, which is the archive itself.
 */
import type { CopyRules } from '../../api/copy-rules.ts'
import { CopyLedger, type FileRecord } from '../../copy/copy-ledger.ts'
import { CopyGate, tarUnreadable, type CopyDirection } from '../../copy/copy-rules.ts'
import { TarMask, type ContentMasker, type MaskedFileRecord } from '../../copy/mask-tar.ts'
import type { CopyCommand } from '../../copy/recognise-copy.ts'
import { TarReader, type TarEvent } from '../../copy/tar-reader.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { SessionEvent } from '../../recording/event.ts'

/** Bytes in, bytes out; what is held back is never more than one entry's headers and a file's head. */
export interface TarFilter {
  push(chunk: Uint8Array): Uint8Array[]
  /** The stream is over. */
  end(): Uint8Array[]
  /** Values masked so far, by detector or pattern name. */
  readonly counts: ReadonlyMap<string, number>
  /** Entries that were complete. */
  readonly files: number
}

export interface TarFilterOptions {
  command: CopyCommand
  /** Undefined where no policy says more. */
  rules: CopyRules | undefined
  /** For a download whose text is masked. */
  createMasker: () => ContentMasker
  /** Into the transcript. */
  tell(event: SessionEvent): void
  /** The copy has to end: nothing passes any more. Once. */
  refuse(error: GatewayError): void
}

/** Where no policy says more. */
const ANY_COPY: CopyRules = {
  directions: ['Download', 'Upload'],
  pathSets: [],
  maxBytes: undefined,
  maskText: false,
}

const NONE: ReadonlyMap<string, number> = new Map()

class ArchiveFilter implements TarFilter {
  readonly #options: TarFilterOptions
  readonly #direction: CopyDirection
  readonly #gate: CopyGate
  readonly #reader = new TarReader()
  readonly #ledger = new CopyLedger()
  readonly #mask: TarMask | undefined
  #files = 0
  #isRefused = false

  constructor(options: TarFilterOptions) {
    const { command, rules = ANY_COPY, createMasker } = options
    this.#options = options
    this.#direction = command.kind === 'Download' ? 'Download' : 'Upload'
    this.#gate = new CopyGate(rules, command)
    const isMasked = rules.maskText && this.#direction === 'Download'
    this.#mask = isMasked ? new TarMask(createMasker) : undefined
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#mask?.counts ?? NONE
  }

  get files(): number {
    return this.#files
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = []
    if (this.#isRefused) return out
    try {
      for (const event of this.#reader.push(chunk)) this.#take(event, out)
    } catch (error) {
      if (!GatewayError.is(error)) throw error
      this.#isRefused = true
      this.#options.refuse(error)
    }
    return out
  }

  end(): Uint8Array[] {
    // Cut short: what had come of the last file is still said.
    const unfinished = this.#ledger.abandon()
    if (unfinished !== undefined) this.#tell(unfinished)
    return []
  }

  /** @throws GatewayError for what must not pass. */
  #take(event: TarEvent, out: Uint8Array[]): void {
    if (event.kind === 'violation') throw tarUnreadable(this.#direction, event.violation)
    if (event.kind === 'header') {
      const refusal = this.#gate.refuseEntry(event.entry)
      if (refusal !== undefined) throw refusal
    }
    if (this.#mask === undefined) {
      const record = this.#ledger.take(event)
      if (event.kind === 'header') out.push(...event.raw)
      else if ('bytes' in event) out.push(event.bytes)
      if (record !== undefined) this.#tell(record)
      return
    }
    // It keeps a ledger of its own: the digests before and after.
    const { bytes, file } = this.#mask.take(event)
    out.push(...bytes)
    if (file !== undefined) this.#tell(file)
  }

  #tell(record: FileRecord | MaskedFileRecord): void {
    this.#files += 1
    const { path, kind, size, mode, sha256, linkTarget } = record
    const masked =
      'maskedSha256' in record && record.maskedSha256 !== undefined && record.masked > 0
        ? { maskedSha256: record.maskedSha256, masked: record.masked }
        : {}
    this.#options.tell({
      type: 'file',
      direction: this.#direction,
      path: this.#gate.resolve(path),
      kind,
      size,
      mode,
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(linkTarget === undefined ? {} : { linkTarget }),
      ...masked,
    })
  }
}

/** The rest of an archive, of `kubectl cp --retries`: only where no rule needs to look into it. */
const UNREAD: TarFilter = {
  push: (chunk) => [chunk],
  end: () => [],
  counts: NONE,
  files: 0,
}

/** @throws GatewayError when the rules do not allow the command as such. */
export function examineCopy(command: CopyCommand, rules: CopyRules = ANY_COPY): void {
  const refusal = new CopyGate(rules, command).refuseCommand()
  if (refusal !== undefined) throw refusal
}

/** A filter for the archive of a copy whose command was examined. */
export function openTarFilter(options: TarFilterOptions): TarFilter {
  const { command } = options
  const isRest = command.kind === 'Download' && command.fromByte > 1
  return isRest ? UNREAD : new ArchiveFilter(options)
}

/**
 * Masking of a byte stream across chunk borders: a byte is masked if and only if a match of any
 * rule in the whole stream covers it, however the stream was cut (invariant: the concatenation of
 * everything emitted is the mask of the whole).
 *
 * Why it holds: every rule decides on a bounded neighbourhood (bytes.ts, line-patterns.ts) and
 * answers "more" instead of guessing; nothing is emitted that an undecided match may cover. That
 * holds back at most 64 bytes before an undecided `@` and 255 after it, or the current line up to
 * 2 KiB when the policy has patterns of its own. A line break decides every detector.
 *
 * `flush` is for a stream that went quiet: what is held goes out, masked where it would match if
 * the stream ended there. Bytes released so can not be taken back, but the rest of a match that
 * completes later is still masked.
 *
 * Pure: no node: modules, no clock. May import: errors, and re2js.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { LOOK_BACK } from './bytes.ts'
import { characterBoundary, writeStars } from './cells.ts'
import { Hits, type Range } from './hits.ts'
import { WINDOW, STEP, lineBreak, matchLine } from './line-patterns.ts'
import type { CompiledMaskRules } from './rules.ts'
import { holdFrom, scan } from './scan.ts'
import { SENTINELS, Window } from './window.ts'

export { compileMaskRules, mergeMaskSpecs } from './rules.ts'
export type { CompiledMaskRules, MaskPattern, MaskSpec } from './rules.ts'

/** A chunk is taken in slices that stay in the processor's first cache while they are looked at. */
const SLICE = 16 * 1024

/** Below this a copy costs nothing. */
const MIN_IN_PLACE = 1024

export interface Masker {
  /** What can be given out now. Bytes that nothing matched are views of the input. */
  push(chunk: Uint8Array): Uint8Array[]
  /** The stream is quiet: everything held. */
  flush(): Uint8Array[]
  /** The stream is over: everything held. */
  end(): Uint8Array[]
  /** Bytes pushed and not given out; 0 means that `flush` would do nothing. */
  readonly heldBytes: number
  /** Matches so far, by detector or pattern name. */
  readonly counts: ReadonlyMap<string, number>
}

export interface MaskerOptions {
  /**
   * Large chunks are the masker's own once they are pushed: stars are written over them, not over a
   * copy. Small ones, such as the echo of what was typed, stay as they came.
   */
  inPlace?: boolean
}

export function createMasker(rules: CompiledMaskRules, options: MaskerOptions = {}): Masker {
  return new StreamMasker(rules, options.inPlace ?? false)
}

class StreamMasker implements Masker {
  private readonly rules: CompiledMaskRules
  private readonly inPlace: boolean
  private readonly window = new Window()
  private readonly hits: Hits
  /** All triggers before this offset are decided. */
  private scanned = 0
  private emitted = 0
  /** The part of the current line that the patterns still have to see begins here. */
  private lineAt = 0
  private midLine = false
  /** No line break before this offset. */
  private lineScanned = 0
  private ended = false

  constructor(rules: CompiledMaskRules, inPlace: boolean) {
    this.rules = rules
    this.inPlace = inPlace
    this.hits = new Hits(rules.names)
  }

  get heldBytes(): number {
    return this.window.end - this.emitted
  }

  get counts(): ReadonlyMap<string, number> {
    return this.hits.counts
  }

  push(chunk: Uint8Array): Uint8Array[] {
    if (this.ended) throw new GatewayError('InternalError', 'the masked stream has already ended')
    if (chunk.length === 0) return []
    if (!this.rules.active) return [chunk]
    const chunkStart = this.window.end
    const held = chunkStart - this.emitted
    let head: Uint8Array | undefined
    let frontier = 0
    for (let at = 0; at < chunk.length; at += SLICE) {
      const part = chunk.length <= SLICE ? chunk : chunk.subarray(at, at + SLICE)
      if (!this.window.hasRoom(part.length)) {
        this.window.makeRoom(part.length, this.keepFrom(at === 0))
      }
      this.window.append(part)
      frontier = this.advance()
      // The window still has the old bytes now, and a full slice always decides about them.
      if (at === 0 && held > 0 && frontier > this.emitted) {
        head = this.window.copy(this.emitted, Math.min(frontier, chunkStart))
      }
    }
    if (frontier <= this.emitted) return []
    const from = Math.max(0, this.emitted - chunkStart)
    const to = Math.max(0, frontier - chunkStart)
    const tail = from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to)
    return this.emit(head, tail, frontier)
  }

  flush(): Uint8Array[] {
    if (this.heldBytes === 0) return []
    const provisional = new Hits(this.rules.names)
    this.decideRest(provisional)
    const { end } = this.window
    return this.emit(this.window.copy(this.emitted, end), undefined, end, provisional)
  }

  end(): Uint8Array[] {
    this.ended = true
    if (this.window.end === 0) return []
    // Also when a flush left nothing held: what it showed as a match is only now one, and counted.
    this.decideRest(this.hits)
    if (this.heldBytes === 0) return []
    const { end } = this.window
    return this.emit(this.window.copy(this.emitted, end), undefined, end)
  }

  /** Later slices of a chunk are emitted from the chunk itself; only context must stay then. */
  private keepFrom(firstSlice: boolean): number {
    const context = Math.min(this.scanned, this.lineAt) - LOOK_BACK
    return firstSlice ? Math.min(context, this.emitted) : context
  }

  /** Looks at what was appended; gives the offset before which everything is decided. */
  private advance(): number {
    const { window, rules } = this
    const { bytes, base } = window
    const hi = window.end - base
    const at = scan(rules.plan, window, this.scanned - base, hi, base, this.hits)
    this.scanned = at + base
    let frontier = holdFrom(rules.plan, bytes, at) + base
    if (rules.patterns.length > 0) {
      this.advanceLines()
      frontier = Math.min(frontier, this.lineAt)
    } else this.lineAt = window.end
    if (!this.hits.covers(frontier)) return frontier
    return characterBoundary(bytes, frontier - base, hi) + base
  }

  private advanceLines(): void {
    const { bytes, base, end } = this.window
    for (;;) {
      const found = lineBreak(bytes, this.lineScanned - base, end - base)
      const lineEnd = found < 0 ? end : found + base
      while (lineEnd - this.lineAt > WINDOW) {
        this.matchUpTo(this.lineAt + WINDOW, this.hits)
        this.lineAt += STEP
        this.midLine = true
      }
      if (found < 0) {
        this.lineScanned = end
        return
      }
      this.matchUpTo(lineEnd, this.hits)
      this.lineAt = lineEnd + 1
      this.lineScanned = this.lineAt
      this.midLine = false
    }
  }

  private matchUpTo(to: number, hits: Hits): void {
    const { bytes, base } = this.window
    matchLine(
      this.rules.patterns,
      bytes,
      this.lineAt - base,
      to - base,
      this.midLine,
      (rule, start, end) => hits.add(rule, start + base, end + base),
    )
  }

  /** Decides everything pending as if the stream ended here. */
  private decideRest(hits: Hits): void {
    const { window, rules } = this
    window.seal()
    const hi = window.end - window.base + SENTINELS
    scan(rules.plan, window, this.scanned - window.base, hi, window.base, hits)
    if (rules.patterns.length > 0) this.matchUpTo(window.end, hits)
  }

  private emit(
    head: Uint8Array | undefined,
    tail: Uint8Array | undefined,
    to: number,
    provisional?: Hits,
  ): Uint8Array[] {
    const from = this.emitted
    const ranges = this.hits.within(from, to, provisional)
    this.emitted = to
    this.hits.release(to)
    const pieces: Uint8Array[] = []
    if (head !== undefined && head.length > 0) pieces.push(head)
    if (tail !== undefined && tail.length > 0) pieces.push(tail)
    if (ranges.length === 0) return pieces
    // A character cut in two by the border of two pieces would get two stars.
    const border = from + (pieces[0]?.length ?? 0)
    if (
      this.inPlace &&
      to - from >= MIN_IN_PLACE &&
      !ranges.some(({ start, end }) => start < border && end > border)
    ) {
      return redactEach(pieces, from, ranges)
    }
    return [redact(joined(pieces, to - from), from, ranges)]
  }
}

function redactEach(
  pieces: readonly Uint8Array[],
  offset: number,
  ranges: readonly Range[],
): Uint8Array[] {
  let at = offset
  return pieces.map((piece) => {
    const from = at
    at += piece.length
    const own = ranges.filter(({ start }) => start >= from && start < at)
    return own.length === 0 ? piece : redact(piece, from, own)
  })
}

/** Stars the ranges in `bytes`, the first of which is at `offset`; a view of what is left of them. */
function redact(bytes: Uint8Array, offset: number, ranges: readonly Range[]): Uint8Array {
  let read = 0
  let written = 0
  for (const range of ranges) {
    const start = range.start - offset
    const end = range.end - offset
    if (written !== read) bytes.copyWithin(written, read, start)
    written = writeStars(bytes, written + start - read, bytes, start, end)
    read = end
  }
  if (written === read) return bytes
  bytes.copyWithin(written, read)
  return bytes.subarray(0, written + bytes.length - read)
}

/** A copy: many small views would cost the reader more. */
function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = pieces
  // Through the prototype, or a Buffer's own slice would share its memory with the caller's bytes.
  if (first?.length === size) return Uint8Array.prototype.slice.call(first)
  const bytes = new Uint8Array(size)
  let filled = 0
  for (const piece of pieces) {
    bytes.set(piece, filled)
    filled += piece.length
  }
  return bytes
}

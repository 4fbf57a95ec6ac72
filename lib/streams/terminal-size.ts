/**
 * The resize channel: JSON documents `{"Width":111,"Height":33}` one after the
 * other. PURE.
 *
 * Go's json.Encoder ends each with a newline, but neither lines nor messages
 * are promised, so documents are found by their braces.
 * Source: k8s.io/client-go tools/remotecommand/v3.go (handleResizes).
 * May import: nothing.
 */

export interface TerminalSize {
  width: number
  height: number
}

export interface TerminalSizes {
  sizes: TerminalSize[]
  /** Why reading stopped for good; later pushes give nothing. */
  malformed?: string
}

export interface TerminalSizeParser {
  push(chunk: Uint8Array): TerminalSizes
}

export interface TerminalSizeLimits {
  /** One document, unknown fields included. */
  maxDocumentBytes: number
}

const DEFAULT_LIMITS: TerminalSizeLimits = { maxDocumentBytes: 256 }
/** Both fields are uint16 in Go. */
const MAX_SIDE = 0xffff

const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d])
const OPEN = 0x7b
const CLOSE = 0x7d
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Like Go's decoder: names in any case, unknown fields ignored, absent means 0. */
function sizeOf(document: Uint8Array): TerminalSize | undefined {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(document))
  } catch {
    return undefined
  }
  const size: TerminalSize = { width: 0, height: 0 }
  for (const [name, side] of Object.entries(Object(value))) {
    const field = name.toLowerCase()
    if (field !== 'width' && field !== 'height') continue
    if (typeof side !== 'number' || !Number.isInteger(side) || side < 0 || side > MAX_SIDE) {
      return undefined
    }
    size[field] = side
  }
  return size
}

/** Finds documents in a stream cut anywhere. */
export function createTerminalSizeParser(
  limits: TerminalSizeLimits = DEFAULT_LIMITS,
): TerminalSizeParser {
  const document = new Uint8Array(limits.maxDocumentBytes)
  let length = 0
  let depth = 0
  let inString = false
  let escaped = false
  let malformed: string | undefined

  /** True when `byte` closes the document. */
  function scan(byte: number): boolean {
    if (inString) {
      if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === QUOTE) inString = false
      return false
    }
    if (byte === QUOTE) inString = true
    else if (byte === OPEN) depth += 1
    else if (byte === CLOSE) depth -= 1
    return depth === 0
  }

  function readByte(byte: number, sizes: TerminalSize[]): void {
    if (length === 0 && SPACES.has(byte)) return
    if (length === 0 && byte !== OPEN) {
      malformed = 'a document starts with "{"'
      return
    }
    if (length === document.length) {
      malformed = `a document is longer than ${document.length} bytes`
      return
    }
    document[length++] = byte
    if (!scan(byte)) return
    const size = sizeOf(document.subarray(0, length))
    length = 0
    if (size === undefined) malformed = 'a document is no terminal size'
    else sizes.push(size)
  }

  return {
    push(chunk) {
      const sizes: TerminalSize[] = []
      for (const byte of chunk) {
        if (malformed !== undefined) break
        readByte(byte, sizes)
      }
      return malformed === undefined ? { sizes } : { sizes, malformed }
    },
  }
}

/** One document as kubectl writes it. */
export function encodeTerminalSize(size: TerminalSize): Uint8Array {
  return new TextEncoder().encode(`{"Width":${size.width},"Height":${size.height}}\n`)
}

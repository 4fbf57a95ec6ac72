/**
 * One header block of 512 bytes (POSIX.1-1988 ustar, and what GNU tar makes of it):
 *
 *   name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link name 100 |
 *   magic 6 | version 2 | user 32 | group 32 | device 8 + 8 | prefix 155 | pad 12
 *
 * GNU sparse files ('S') have at 482 a flag that another block of their map follows, and at 483 the
 * size when unpacked. Numbers are octal text, or base-256 with the first bit set (GNU).
 */
import { quotePath } from './quote-path.ts'
import { TarViolation } from './tar-violation.ts'

export const BLOCK = 512

export interface TarHeader {
  /** With the prefix, where the magic says that there is one. */
  name: string
  /** What a tar that does not look at the magic would take as the name. */
  prefixedName: string
  linkName: string
  /** Bytes of content that follow. */
  size: number
  mode: number
  type: string
  /** Only for type 'S'. */
  unpackedSize: number
  hasMoreMap: boolean
}

/** Headers of a sparse file's further map: 21 entries of 24 bytes, then the flag. */
export const SPARSE_MAP_FLAG = 504

const CHECKSUM = 148
const SPACE = 0x20
/** A byte order mark is a part of a name as any other. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Throws TarViolation. */
export function parseTarHeader(block: Uint8Array): TarHeader {
  verifyChecksum(block)
  const name = textAt(block, 0, 100)
  const prefix = textAt(block, 345, 155)
  // GNU's own magic is "ustar  \0", and its times stand where the prefix would.
  const hasPrefix = textAt(block, 257, 6) === 'ustar' && block[262] === 0
  const prefixedName = prefix === '' ? name : `${prefix}/${name}`
  const type = String.fromCharCode(block[156] ?? 0)
  const isSparse = type === 'S'
  return {
    name: hasPrefix ? prefixedName : name,
    prefixedName: isSparse ? name : prefixedName,
    linkName: textAt(block, 157, 100),
    size: numberAt(block, 124, 12, 'size'),
    mode: numberAt(block, 100, 8, 'mode') % 0o10000,
    type,
    unpackedSize: isSparse ? numberAt(block, 483, 12, 'unpacked size') : 0,
    hasMoreMap: isSparse && block[482] !== 0,
  }
}

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

/** Old tars summed signed bytes; readers take both. */
function verifyChecksum(block: Uint8Array): void {
  let sum = 0
  let above = 0
  for (let k = 0; k < BLOCK; k += 1) {
    const byte = block[k] ?? 0
    sum += byte
    above += byte >> 7
  }
  for (let k = CHECKSUM; k < CHECKSUM + 8; k += 1) {
    const byte = block[k] ?? 0
    sum += SPACE - byte
    above -= byte >> 7
  }
  const stated = numberAt(block, CHECKSUM, 8, 'checksum')
  if (stated !== sum && stated !== sum - 256 * above) {
    throw new TarViolation(`a header has the checksum ${stated}, and its bytes sum up to ${sum}`)
  }
}

/** Up to the first NUL. */
export function textAt(block: Uint8Array, at: number, length: number): string {
  const nul = block.indexOf(0, at)
  const end = nul < 0 || nul > at + length ? at + length : nul
  return decoder.decode(block.subarray(at, end))
}

/** Where readers differ about a malformed number, none is taken. */
function numberAt(block: Uint8Array, at: number, length: number, what: string): number {
  if ((block[at] ?? 0) >= 0x80) return base256(block, at, length, what)
  const text = String.fromCharCode(...block.subarray(at, at + length))
  const [, digits] = /^ *([0-7]*)[ \0]*$/.exec(text) ?? []
  if (digits === undefined) {
    throw new TarViolation(`a header's ${what} is no octal number: ${quotePath(text)}`)
  }
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

function base256(block: Uint8Array, at: number, length: number, what: string): number {
  let value = block[at] === 0x80 ? 0 : Number.NaN
  for (let k = at + 1; k < at + length; k += 1) value = value * 256 + (block[k] ?? 0)
  if (Number.isSafeInteger(value)) return value
  throw new TarViolation(`a header's ${what} is negative or beyond any file`)
}

/** The archives of `kubectl cp`: whatever the tar of a container, or of an attacker in it, sends. */
import { isDeepStrictEqual } from 'node:util'

import * as fc from 'fast-check'

import { TarReader, type TarEvent } from '../../../lib/copy/tar-reader.ts'
import { cutsOf } from '../cuts.ts'
import { broken, type Target } from '../target.ts'

const BLOCK = 512
/** Small, so that inputs of this size get past them. */
const LIMITS = { maxHeaderBody: 1024, maxPath: 120 }
/** Four bodies at most, each with its header, and the entry's own. */
const MAX_HELD_BYTES = 4 * (LIMITS.maxHeaderBody + 2 * BLOCK) + BLOCK

/** What one event says, with its bytes joined; content and padding are cut as the input is. */
interface Told {
  kind: TarEvent['kind']
  entry?: unknown
  bytes: Buffer
  violation?: string
}

function toldBy(event: TarEvent): Told {
  switch (event.kind) {
    case 'header':
      return { kind: event.kind, entry: event.entry, bytes: Buffer.concat(event.raw) }
    case 'entryEnd':
      return { kind: event.kind, bytes: Buffer.alloc(0) }
    case 'violation':
      return { kind: event.kind, bytes: Buffer.alloc(0), violation: event.violation.message }
    default:
      return { kind: event.kind, bytes: Buffer.from(event.bytes) }
  }
}

function read(pieces: readonly Uint8Array[]): Told[] {
  const reader = new TarReader(LIMITS)
  const told: Told[] = []
  for (const event of [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()]) {
    const next = toldBy(event)
    const last = told.at(-1)
    const joins = last?.kind === next.kind && ['data', 'padding', 'trailer'].includes(next.kind)
    if (joins) last.bytes = Buffer.concat([last.bytes, next.bytes])
    else told.push(next)
  }
  return told
}

function checkBytes(told: readonly Told[], input: Uint8Array): void {
  const out = Buffer.concat(told.map(({ bytes }) => bytes))
  const failed = told.at(-1)?.kind === 'violation'
  if (!out.equals(failed ? input.subarray(0, out.length) : input))
    throw broken('what comes out is not the archive', out.length, input.length)
  if (told.slice(0, -1).some(({ kind }) => kind === 'violation'))
    throw broken('something is told after a violation', told)
  if (told.some(({ kind, bytes }) => kind === 'header' && bytes.length > MAX_HELD_BYTES))
    throw broken('the headers of an entry are larger than what may be held')
}

function checkEntries(told: readonly Told[]): void {
  let open: { size: number; path: string; got: number } | undefined
  for (const { kind, entry, bytes } of told) {
    if (kind === 'header') {
      if (open !== undefined) throw broken('an entry begins inside of another', open, entry)
      const { size, path } = entry as { size: number; path: string }
      if (path === '' || path.length > LIMITS.maxPath) throw broken('a path is too long', path)
      open = { size, path, got: 0 }
    } else if (kind === 'data') {
      if (open === undefined) throw broken('there is content outside of entries', bytes.length)
      open.got += bytes.length
    } else if (kind === 'entryEnd') {
      if (open?.got !== open?.size) throw broken('an entry has another size than it says', open)
      open = undefined
    }
  }
}

const exact = new TextDecoder('utf-8', { ignoreBOM: true })

function field(block: Uint8Array, at: number, length: number): string {
  return exact.decode(block.subarray(at, at + length)).split('\0', 1)[0] ?? ''
}

/** What stands in the archive is what is told: no other name, and no other size, out of nothing. */
function checkNames(told: readonly Told[]): void {
  for (const { kind, entry, bytes } of told) {
    if (kind !== 'header') continue
    const { path, size, plainSize } = entry as { path: string; size: number; plainSize: number }
    if (size !== plainSize && !bytes.includes(' size='))
      throw broken('an entry has a size that its headers do not hold', entry)
    if (bytes.length > BLOCK) continue
    const [plain, prefix] = [field(bytes, 0, 100), field(bytes, 345, 155)]
    if (path !== plain && path !== `${prefix}/${plain}`)
      throw broken('an entry has a name that its header does not hold', path, plain, prefix)
  }
}

function sumUp(block: Uint8Array): void {
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `, 'latin1'), 148)
}

/** Any change breaks a checksum, and nothing behind it would ever be read. */
function repaired(input: Uint8Array): Buffer {
  const archive = Buffer.from(input)
  for (let at = 0; at + BLOCK <= archive.length; at += BLOCK) {
    const block = archive.subarray(at, at + BLOCK)
    if (block.toString('latin1', 257, 262) === 'ustar') sumUp(block)
  }
  return archive
}

interface Entry {
  name: string
  prefix: string
  type: string
  gnu: boolean
  size: string | undefined
  body: Uint8Array
}

function headerAndBody({ name, prefix, type, gnu, size, body }: Entry): Buffer {
  const blocks = Buffer.alloc(BLOCK + Math.ceil(body.length / BLOCK) * BLOCK)
  blocks.write(name.slice(0, 100), 0, 'latin1')
  blocks.write('0000644\0', 100)
  blocks.write(size ?? `${body.length.toString(8).padStart(11, '0')}\0`, 124, 12, 'latin1')
  blocks.write(type, 156, 'latin1')
  blocks.write('target', 157)
  blocks.write(gnu ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1')
  blocks.write(prefix, 345, 'latin1')
  sumUp(blocks.subarray(0, BLOCK))
  blocks.set(body, BLOCK)
  return blocks
}

function paxBody(records: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = Buffer.from(` ${key}=${value}\n`)
      const digits = rest.length + 2 > 99 ? 3 : rest.length + 1 > 9 ? 2 : 1
      return Buffer.concat([Buffer.from(String(rest.length + digits)), rest])
    }),
  )
}

const name = fc.constantFrom(
  'a.txt',
  'dir/',
  '../up',
  '/abs',
  'x'.repeat(100),
  'é',
  '\ufeffa',
  '\0',
  'b/./c',
)
const keys = [
  'path',
  '\ufeffsize',
  'size ',
  'linkpath',
  'size',
  'GNU.sparse.name',
  'GNU.sparse.realsize',
  'mtime',
]
const pax = fc
  .array(fc.tuple(fc.constantFrom(...keys), fc.oneof(name, fc.constantFrom('', '0', '7', '513'))), {
    maxLength: 3,
  })
  .map(paxBody)
const entry = fc.record({
  name,
  prefix: fc.constantFrom('', '', 'p', 'p/q'),
  type: fc.constantFrom('0', '0', '\0', '1', '2', '5', '6', '7', 'S', 'V', 'x'),
  gnu: fc.boolean(),
  size: fc.constantFrom(
    undefined,
    undefined,
    undefined,
    undefined,
    '00000000007\0',
    '\x80\xff',
    '9',
  ),
  body: fc.uint8Array({ maxLength: 600 }),
})
const announcing = fc.record({
  name: fc.constant('././@LongLink'),
  prefix: fc.constant(''),
  type: fc.constantFrom('x', 'x', 'g', 'L', 'K'),
  gnu: fc.boolean(),
  size: fc.constant(undefined),
  body: fc.oneof(
    pax,
    name.map((text) => Buffer.from(`${text}\0`)),
  ),
})

export const target: Target = {
  about: 'tar archives of kubectl cp (lib/copy/tar-reader.ts)',
  covers: ['lib/copy/tar', 'lib/copy/pax-records.ts'],
  maxBytes: 8192,
  inputs: fc
    .tuple(
      fc.array(fc.oneof(entry, announcing), { maxLength: 5 }),
      fc.constantFrom(0, BLOCK, 2 * BLOCK, 3 * BLOCK, 100),
    )
    .map(([entries, end]) => Buffer.concat([...entries.map(headerAndBody), Buffer.alloc(end)])),
  check(input) {
    const archive = repaired(input)
    for (const bytes of archive.equals(input) ? [archive] : [archive, input]) {
      const whole = read([bytes])
      checkBytes(whole, bytes)
      checkEntries(whole)
      checkNames(whole)
      for (const pieces of cutsOf(bytes)) {
        const cut = read(pieces)
        if (!isDeepStrictEqual(cut, whole))
          throw broken('a cut of the bytes changes what is read', pieces.length, whole, cut)
      }
    }
  },
}

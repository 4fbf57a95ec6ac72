/** Archives for tests: made block by block, and by the machine's own tar. */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { TarReader, type TarEntry, type TarEvent } from '../../../lib/copy/tar-reader.ts'

export interface RawHeader {
  name: string
  type?: string
  size?: number
  mode?: number
  linkName?: string
  prefix?: string
  magic?: string
  /** Set byte by byte after the rest, and before the checksum. */
  patch?: Record<number, string>
}

export function header(fields: RawHeader): Buffer {
  const block = Buffer.alloc(512)
  block.write(fields.name, 0, 100, 'utf8')
  block.write(`${(fields.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100, 'latin1')
  const size = fields.size ?? 0
  if (size < 0o100000000000) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  else {
    block[124] = 0x80
    block.writeBigUInt64BE(BigInt(size), 128)
  }
  block.write(fields.type ?? '0', 156, 'latin1')
  block.write(fields.linkName ?? '', 157, 100, 'utf8')
  block.write(fields.magic ?? 'ustar\u000000', 257, 'latin1')
  block.write(fields.prefix ?? '', 345, 155, 'utf8')
  for (const [at, text] of Object.entries(fields.patch ?? {})) {
    block.write(text, Number(at), 'latin1')
  }
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

export function padded(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as string)
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

export function file(name: string, content: string | Uint8Array, more: object = {}): Buffer {
  const size = Buffer.from(content as string).length
  return Buffer.concat([header({ name, size, ...more }), padded(content)])
}

/** A long name ('L') or link target ('K') as GNU tar announces it. */
export function gnuLong(type: 'L' | 'K', text: string): Buffer {
  return file('././@LongLink', `${text}\0`, { type, magic: 'ustar  \0' })
}

export function pax(records: Record<string, string>, type: 'x' | 'g' = 'x'): Buffer {
  const body = Object.entries(records).map(([key, value]) => record(`${key}=${value}\n`))
  return file('PaxHeaders.0/x', body.join(''), { type })
}

function record(text: string): string {
  const rest = Buffer.byteLength(text) + 1
  let length = rest
  while (length !== rest + String(length).length) length = rest + String(length).length
  return `${length} ${text}`
}

export const END: Buffer = Buffer.alloc(1024)

export function archive(...parts: Uint8Array[]): Buffer {
  return Buffer.concat([...parts, END])
}

export interface Tree {
  files?: Record<string, string | Uint8Array>
  symbolicLinks?: Record<string, string>
  hardLinks?: Record<string, string>
  folders?: string[]
  /** Sizes of files with 4 KiB of content in each MiB, and holes between. */
  withHoles?: Record<string, number>
}

/** What the machine's tar makes of the tree, run inside it. */
export function realTar(tree: Tree, args: readonly string[], names: readonly string[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'podgate-tar-'))
  try {
    for (const name of tree.folders ?? []) mkdirSync(join(folder, name), { recursive: true })
    for (const [name, content] of Object.entries(tree.files ?? {})) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), content, { mode: 0o640 })
    }
    for (const [name, size] of Object.entries(tree.withHoles ?? {})) {
      writeHoles(join(folder, name), size)
    }
    for (const [name, target] of Object.entries(tree.symbolicLinks ?? {})) {
      symlinkSync(target, join(folder, name))
    }
    for (const [name, target] of Object.entries(tree.hardLinks ?? {})) {
      linkSync(join(folder, target), join(folder, name))
    }
    const { status, stdout, stderr } = spawnSync('tar', [...args, '-cf', '-', ...names], {
      cwd: folder,
      maxBuffer: 64 * 1024 * 1024,
    })
    if (status !== 0) throw new Error(`tar: ${stderr.toString()}`)
    return stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function writeHoles(path: string, size: number): void {
  const descriptor = openSync(path, 'w')
  ftruncateSync(descriptor, size)
  for (let at = 0; at < size; at += 1024 * 1024) {
    writeSync(descriptor, Buffer.alloc(4096, 1), 0, 4096, at)
  }
  closeSync(descriptor)
}

/** All events, with the stream cut at these places and ended. */
export function readCut(
  input: Uint8Array,
  cuts: readonly number[],
  reader: TarReader = new TarReader(),
): TarEvent[] {
  const places = [0, ...cuts.toSorted((a, b) => a - b), input.length]
  const events = places.slice(1).flatMap((to, k) => reader.push(input.subarray(places[k] ?? 0, to)))
  return [...events, ...reader.end()]
}

export function readAll(input: Uint8Array): TarEvent[] {
  return readCut(input, [])
}

/** Events with content and padding joined, so that they can be compared whatever the cuts were. */
export function joinedEvents(events: readonly TarEvent[]): unknown[] {
  const all: { kind: string; text?: string; entry?: TarEntry }[] = []
  for (const event of events) {
    const last = all.at(-1)
    if (event.kind === 'violation') all.push({ kind: event.kind, text: event.violation.message })
    else if (event.kind === 'entryEnd') all.push({ kind: event.kind })
    else {
      const text = Buffer.concat(bytesOf(event)).toString('latin1')
      if (last !== undefined && last.kind === event.kind && event.kind !== 'header') {
        last.text = (last.text ?? '') + text
      } else if (event.kind === 'header') all.push({ kind: 'header', text, entry: event.entry })
      else all.push({ kind: event.kind, text })
    }
  }
  return all
}

export function bytesOf(event: TarEvent): readonly Uint8Array[] {
  if (event.kind === 'header') return event.raw
  return event.kind === 'entryEnd' || event.kind === 'violation' ? [] : [event.bytes]
}

export function bytesOfAll(events: readonly TarEvent[]): Buffer {
  return Buffer.concat(events.flatMap((event) => [...bytesOf(event)]))
}

export function entriesOf(events: readonly TarEvent[]): TarEntry[] {
  return events.flatMap((event) => (event.kind === 'header' ? [event.entry] : []))
}

export function violationOf(events: readonly TarEvent[]): string | undefined {
  const last = events.at(-1)
  return last?.kind === 'violation' ? last.violation.message : undefined
}

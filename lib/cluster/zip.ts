/**
 * Reads single files out of a zip archive in memory.
 *
 *   ... | central directory: one record per file | end record 22 + comment |
 *
 * Format: PKWARE APPNOTE 6.3, sections 4.3.7 (local header), 4.3.12 (central
 * directory) and 4.3.16 (end). Stored and deflated entries; no zip64, no
 * encryption: the archives read here are a few tens of megabytes.
 */
import { crc32, inflateRawSync } from 'node:zlib'

const END_SIGNATURE = 0x0605_4b50
const CENTRAL_SIGNATURE = 0x0201_4b50
const LOCAL_SIGNATURE = 0x0403_4b50
const END_SIZE = 22
const MAX_COMMENT = 0xffff
const STORED = 0
const DEFLATED = 8

interface ZipEntry {
  name: string
  method: number
  crc: number
  compressedSize: number
  size: number
  localOffset: number
}

export function listZip(archive: Buffer): string[] {
  return readDirectory(archive).map(({ name }) => name)
}

/** Undefined where the archive has no such file. */
export function readZipFile(archive: Buffer, name: string): Buffer | undefined {
  const entry = readDirectory(archive).find((candidate) => candidate.name === name)
  return entry === undefined ? undefined : readEntry(archive, entry)
}

function readDirectory(archive: Buffer): ZipEntry[] {
  const end = findEnd(archive)
  const count = archive.readUInt16LE(end + 10)
  let offset = archive.readUInt32LE(end + 16)
  const entries: ZipEntry[] = []
  for (let index = 0; index < count; index += 1) {
    expectSignature(archive, offset, CENTRAL_SIGNATURE, 46)
    const nameLength = archive.readUInt16LE(offset + 28)
    entries.push({
      name: archive.toString('utf8', offset + 46, offset + 46 + nameLength),
      method: archive.readUInt16LE(offset + 10),
      crc: archive.readUInt32LE(offset + 16),
      compressedSize: archive.readUInt32LE(offset + 20),
      size: archive.readUInt32LE(offset + 24),
      localOffset: archive.readUInt32LE(offset + 42),
    })
    const extra = archive.readUInt16LE(offset + 30) + archive.readUInt16LE(offset + 32)
    offset += 46 + nameLength + extra
  }
  return entries
}

/** It is the last record, followed only by a comment of unknown length. */
function findEnd(archive: Buffer): number {
  const lowest = Math.max(0, archive.length - END_SIZE - MAX_COMMENT)
  for (let offset = archive.length - END_SIZE; offset >= lowest; offset -= 1) {
    if (archive.readUInt32LE(offset) === END_SIGNATURE) return offset
  }
  throw new RangeError('not a zip archive: it has no end record')
}

function readEntry(archive: Buffer, entry: ZipEntry): Buffer {
  expectSignature(archive, entry.localOffset, LOCAL_SIGNATURE, 30)
  // The local header's own lengths count: its extra field differs from the central one.
  const nameLength = archive.readUInt16LE(entry.localOffset + 26)
  const extraLength = archive.readUInt16LE(entry.localOffset + 28)
  const start = entry.localOffset + 30 + nameLength + extraLength
  const packed = archive.subarray(start, start + entry.compressedSize)
  const content = unpack(packed, entry)
  if (content.length !== entry.size || crc32(content) !== entry.crc) {
    throw new RangeError(`"${entry.name}" in the zip archive is damaged`)
  }
  return content
}

function unpack(packed: Buffer, entry: ZipEntry): Buffer {
  if (entry.method === STORED) return packed
  if (entry.method === DEFLATED) return inflateRawSync(packed, { maxOutputLength: entry.size + 1 })
  throw new RangeError(
    `"${entry.name}" is packed by method ${entry.method}, which is not supported`,
  )
}

function expectSignature(archive: Buffer, offset: number, signature: number, size: number): void {
  if (offset + size > archive.length || archive.readUInt32LE(offset) !== signature) {
    throw new RangeError('not a zip archive, or a damaged one')
  }
}

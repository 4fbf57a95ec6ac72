/**
 * Writes a tar archive in memory: small images, made on the spot.
 *
 *   name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 |
 *   type 1 | link name 100 | "ustar\0" 6 | "00" 2 | ... | prefix 155 | pad 12
 *
 * Format: POSIX.1-1988 ustar. Pure; every time stamp is 0, so that equal
 * content gives an equal digest.
 */
const BLOCK = 512
const TYPES = { file: '0', symlink: '2', directory: '5' } as const

export type TarEntry =
  | { type: 'file'; path: string; content: Uint8Array; mode?: number }
  | { type: 'symlink'; path: string; target: string }
  | { type: 'directory'; path: string; mode?: number }

export function createTar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    parts.push(encodeHeader(entry))
    if (entry.type === 'file') {
      parts.push(entry.content, Buffer.alloc(padding(entry.content.length)))
    }
  }
  parts.push(Buffer.alloc(2 * BLOCK))
  return Buffer.concat(parts)
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

function encodeHeader(entry: TarEntry): Buffer {
  const header = Buffer.alloc(BLOCK)
  const path = entry.type === 'directory' ? `${entry.path}/` : entry.path
  const { prefix, name } = splitPath(path)
  writeText(header, 0, 100, name)
  writeOctal(header, 100, 8, modeOf(entry))
  writeOctal(header, 108, 8, 0)
  writeOctal(header, 116, 8, 0)
  writeOctal(header, 124, 12, entry.type === 'file' ? entry.content.length : 0)
  writeOctal(header, 136, 12, 0)
  header.fill(' ', 148, 156)
  header.write(TYPES[entry.type], 156)
  if (entry.type === 'symlink') writeText(header, 157, 100, entry.target)
  header.write('ustar\u000000', 257, 'latin1')
  writeText(header, 345, 155, prefix)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

function modeOf(entry: TarEntry): number {
  if (entry.type === 'symlink') return 0o777
  return entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644)
}

/** A path of more than 100 bytes is cut at a slash; the first part goes into the prefix. */
function splitPath(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: '', name: path }
  const cut = path.indexOf('/', Math.max(0, path.length - 101))
  return { prefix: path.slice(0, cut), name: path.slice(cut + 1) }
}

function writeText(header: Buffer, offset: number, size: number, text: string): void {
  if (Buffer.byteLength(text) > size)
    throw new RangeError(`"${text}" does not fit into a tar header`)
  header.write(text, offset, 'utf8')
}

function writeOctal(header: Buffer, offset: number, size: number, value: number): void {
  header.write(`${value.toString(8).padStart(size - 1, '0')}\0`, offset, 'latin1')
}

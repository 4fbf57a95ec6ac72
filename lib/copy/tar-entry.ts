/** What the headers of one entry say together, and where two readers could take them differently. */
import { paxNumber, paxText } from './pax-records.ts'
import { quotePath } from './quote-path.ts'
import type { TarHeader } from './tar-header.ts'
import { TarViolation } from './tar-violation.ts'

export type TarKind =
  | 'File'
  | 'HardLink'
  | 'SymbolicLink'
  | 'CharacterDevice'
  | 'BlockDevice'
  | 'Directory'
  | 'Fifo'
  | 'Other'

export interface TarEntry {
  kind: TarKind
  /** As the archive says it; a folder's may end in a slash. */
  path: string
  /** Other names that a tar which does not know all headers would use (BusyBox knows no PAX). */
  otherPaths: readonly string[]
  linkTarget: string | undefined
  otherLinkTargets: readonly string[]
  /** Bytes of content in the archive. */
  size: number
  /** Bytes of content when unpacked: more than `size` for a sparse file. */
  unpackedSize: number
  /** How many bytes of content a tar without PAX would see. */
  plainSize: number
  isSparse: boolean
  /** Permission bits, with set-uid, set-gid and sticky. */
  mode: number
}

/** Headers that came before the one they are about. */
export interface Announced {
  longName: string | undefined
  longLink: string | undefined
  pax: ReadonlyMap<string, string> | undefined
}

const KINDS: Readonly<Record<string, TarKind>> = {
  '\0': 'File',
  '0': 'File',
  '1': 'HardLink',
  '2': 'SymbolicLink',
  '3': 'CharacterDevice',
  '4': 'BlockDevice',
  '5': 'Directory',
  '6': 'Fifo',
  '7': 'File',
  S: 'File',
}

const NO_RECORDS: ReadonlyMap<string, string> = new Map()

/** `maxPath` in characters. Throws TarViolation. */
export function composeEntry(header: TarHeader, announced: Announced, maxPath: number): TarEntry {
  const pax = announced.pax ?? NO_RECORDS
  const paxPath = paxText(pax, 'GNU.sparse.name') ?? paxText(pax, 'path')
  const path = onlyOne('name', paxPath, announced.longName) ?? header.name
  if (path === '') throw new TarViolation('an entry has no name')
  const link = onlyOne('link target', paxText(pax, 'linkpath'), announced.longLink)
  const linkTarget = link ?? header.linkName
  for (const text of [path, linkTarget]) {
    if (text.length > maxPath) {
      throw new TarViolation(
        `${quotePath(text)} is a name of ${text.length} characters; at most ${maxPath} are taken`,
      )
    }
  }
  const kind = kindOf(header.type, path)
  const size = paxNumber(pax, 'size') ?? header.size
  if (size > 0 && kind !== 'File' && kind !== 'Other') {
    throw new TarViolation(`${quotePath(path)} is no file and yet says to have content`)
  }
  const isLink = kind === 'HardLink' || kind === 'SymbolicLink'
  const isSparse = header.type === 'S' || [...pax.keys()].some(isSparseKey)
  const sparseSize = paxNumber(pax, 'GNU.sparse.realsize', 'GNU.sparse.size')
  return {
    kind,
    path,
    otherPaths: others(path, header.name, header.prefixedName, paxText(pax, 'path')),
    linkTarget: isLink ? linkTarget : undefined,
    otherLinkTargets: isLink ? others(linkTarget, header.linkName) : [],
    size,
    unpackedSize: Math.max(size, header.unpackedSize, sparseSize ?? 0),
    plainSize: header.size,
    isSparse,
    mode: header.mode,
  }
}

/** Before POSIX had folders, a file whose name ends in a slash was one. */
function kindOf(type: string, path: string): TarKind {
  const kind = KINDS[type] ?? 'Other'
  return kind === 'File' && type !== 'S' && path.endsWith('/') ? 'Directory' : kind
}

/** Go takes the GNU name of the two, GNU tar the PAX one. */
function onlyOne(
  what: string,
  pax: string | undefined,
  gnu: string | undefined,
): string | undefined {
  if (pax !== undefined && gnu !== undefined && pax !== gnu) {
    throw new TarViolation(
      `an entry has two names: the ${what} ${quotePath(pax)} and ${quotePath(gnu)}`,
    )
  }
  return pax ?? gnu
}

function others(taken: string, ...names: (string | undefined)[]): string[] {
  return [...new Set(names)].filter((name) => name !== undefined && name !== taken) as string[]
}

export function isSparseKey(key: string): boolean {
  return key.startsWith('GNU.sparse.')
}

/** What a copy moved, file by file, for its record. */
import { createHash, type Hash } from 'node:crypto'

import type { TarEntry, TarEvent, TarKind } from './tar-reader.ts'

export interface FileRecord {
  /** As the archive says it. */
  path: string
  kind: TarKind
  /** Bytes of content, as in the archive. */
  size: number
  /** Permission bits. */
  mode: number
  /** Of the content as in the archive, lower-case hex; undefined for what has no content. */
  sha256: string | undefined
  linkTarget?: string
}

export class CopyLedger {
  private entry: TarEntry | undefined
  private hash: Hash | undefined
  private seen = 0
  private bytes = 0
  private files = 0

  /** Content so far, in bytes. */
  get totalBytes(): number {
    return this.bytes
  }

  /** Entries that are complete. */
  get count(): number {
    return this.files
  }

  /** The record of the entry that ends with this event. */
  take(event: TarEvent): FileRecord | undefined {
    if (event.kind === 'data') {
      this.hash?.update(event.bytes)
      this.seen += event.bytes.length
      this.bytes += event.bytes.length
    } else if (event.kind === 'header') {
      const { kind } = event.entry
      this.entry = event.entry
      this.hash = kind === 'File' || kind === 'Other' ? createHash('sha256') : undefined
      this.seen = 0
    } else if (event.kind === 'entryEnd') return this.finish()
    return undefined
  }

  /** What has come of an entry that will not be completed; its size is what was seen. */
  abandon(): FileRecord | undefined {
    return this.entry === undefined ? undefined : this.finish()
  }

  private finish(): FileRecord | undefined {
    const { entry, hash, seen } = this
    if (entry === undefined) return undefined
    this.entry = undefined
    this.hash = undefined
    this.files += 1
    const { path, kind, mode, linkTarget } = entry
    return {
      path,
      kind,
      size: seen,
      mode,
      sha256: hash?.digest('hex'),
      ...(linkTarget === undefined ? {} : { linkTarget }),
    }
  }
}

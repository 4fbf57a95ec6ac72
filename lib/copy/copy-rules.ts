/**
 * Decides what `kubectl cp` may move: first on the command, then on each entry of the archive,
 * before its headers are passed on.
 *
 * Paths are decided as text. A link that is in the container already is followed there, unseen:
 * who may write into an allowed folder can make one. Links that a copy brings are decided.
 */
import type { CopyRules } from '../api/copy-rules.ts'
import type { GatewayError } from '../errors/gateway-error.ts'
import {
  folderOf,
  hasParentSegment,
  isAbsolutePath,
  isWithin,
  normalPath,
  pathWithin,
  withFolders,
} from './copy-paths.ts'
import { copyNotAllowed, directionOf, onlyPaths, type CopyDirection } from './copy-refusal.ts'
import { compilePathGlob, matchesPath, mayMatchBelow, type PathGlob } from './path-glob.ts'
import type { CopyCommand } from './recognise-copy.ts'
import type { TarEntry } from './tar-reader.ts'

export { tarUnreadable } from './copy-refusal.ts'
export type { CopyDirection } from './copy-refusal.ts'

/** Links of one upload that are remembered, so that nothing is written through them. */
const MAX_LINKS = 10_000
const ASK = 'Ask the author of the policy, or leave it out'

interface PathSet {
  patterns: readonly string[]
  globs: readonly PathGlob[]
}

/** The rules on one copy, in the order of its archive. */
export class CopyGate {
  private readonly command: CopyCommand
  private readonly direction: CopyDirection
  private readonly rules: CopyRules
  private readonly sets: readonly PathSet[]
  /** Where links of this upload are. */
  private readonly links = new Set<string>()
  private bytes = 0

  constructor(rules: CopyRules, command: CopyCommand) {
    this.rules = rules
    this.command = command
    this.direction = directionOf(command)
    this.sets = rules.pathSets.map((patterns) => ({
      patterns,
      globs: patterns.map(compilePathGlob),
    }))
  }

  /** On the command alone. Undefined: go on. */
  refuseCommand(): GatewayError | undefined {
    const { command, rules } = this
    if (!rules.directions.includes(this.direction)) {
      const other = rules.directions.length === 0 ? 'no copies' : 'copies the other way only'
      return this.refusal(undefined, `the policy allows ${other}`, 'Ask the author of the policy')
    }
    if (command.kind === 'Download' && command.fromByte > 1 && this.mustRead()) {
      return this.refusal(
        command.paths[0],
        'the rest of an archive cannot be checked without its beginning',
        'Run kubectl cp again from the start, without --retries',
      )
    }
    return this.firstRefusal(this.commandPaths(), (path) => this.refuseNamed(path))
  }

  /**
   * On the headers of an entry: nothing of the entry may be passed on when there is an answer.
   * Sizes add up, so each entry is to be asked about once.
   */
  refuseEntry(entry: TarEntry): GatewayError | undefined {
    const byPath =
      this.direction === 'Upload' ? this.refuseIncoming(entry) : this.refuseOutgoing(entry)
    return byPath ?? this.refuseSize(entry)
  }

  /** Where the entry is in the container; as the archive says it, where that is not known. */
  resolve(path: string): string {
    const { command } = this
    if (command.kind === 'Upload') {
      const { directory } = command
      const isKnown = directory !== undefined && isAbsolutePath(directory)
      return isKnown ? pathWithin(directory, path) : path
    }
    return command.kind === 'Download' ? (requestedPath(command.paths, path) ?? path) : path
  }

  private mustRead(): boolean {
    return this.sets.length > 0 || this.rules.maxBytes !== undefined || this.rules.maskText
  }

  private commandPaths(): string[] {
    const { command } = this
    if (command.kind === 'Download') return command.paths
    return [command.kind === 'Probe' ? command.path : (command.directory ?? '.')]
  }

  /** A path of the command: it is enough that something allowed may be below. */
  private refuseNamed(path: string): GatewayError | undefined {
    if (this.sets.length === 0) return undefined
    if (!isAbsolutePath(path) || hasParentSegment(path)) {
      return this.refusal(
        path,
        'the policy is about certain paths, and which one this is can only be told in the container',
        'Name it from / on and without ".."',
      )
    }
    return this.refusePath(path, normalPath(path), true)
  }

  private refuseOutgoing(entry: TarEntry): GatewayError | undefined {
    const { command } = this
    if (this.sets.length === 0 || command.kind !== 'Download') return undefined
    const asked = hasParentSegment(entry.path)
      ? undefined
      : requestedPath(command.paths, entry.path)
    if (asked === undefined) {
      return this.refusal(
        entry.path,
        'the archive holds it, though it was not asked for',
        'Look at the tar program of the container',
      )
    }
    return this.refusePath(entry.path, asked, entry.kind === 'Directory')
  }

  private refuseIncoming(entry: TarEntry): GatewayError | undefined {
    const { kind, path } = entry
    if (kind === 'CharacterDevice' || kind === 'BlockDevice' || kind === 'Fifo') {
      return this.refusal(path, 'it is a device or a pipe, and no file', 'Leave it out')
    }
    if (kind === 'Other' || entry.isSparse) {
      return this.refusal(
        path,
        'tar programs unpack this kind of entry differently',
        'Leave it out',
      )
    }
    const names = [path, ...entry.otherPaths]
    return (
      this.firstRefusal(names, (name) => this.refuseIncomingName(name)) ??
      (this.sets.length === 0 ? undefined : this.refuseHidden(entry)) ??
      this.refuseLink(entry)
    )
  }

  private refuseIncomingName(name: string): GatewayError | undefined {
    if (isAbsolutePath(name) || hasParentSegment(name)) {
      return this.refusal(name, 'its name leads out of the folder copied to', 'Use a stock kubectl')
    }
    if (this.sets.length === 0) return undefined
    const path = this.resolve(name)
    const link = withFolders(path).find((folder) => this.links.has(folder))
    if (link !== undefined) {
      return this.refusal(
        path,
        `${link === path ? 'it replaces' : 'it would be written through'} a link of the same copy`,
        'Leave the link out',
      )
    }
    return this.refusePath(path, path, false)
  }

  /** What a tar without PAX would unpack instead (BusyBox). */
  private refuseHidden(entry: TarEntry): GatewayError | undefined {
    if (entry.plainSize === entry.size && !entry.otherPaths.includes('')) return undefined
    return this.refusal(
      entry.path,
      'only some tar programs can read its headers, and others would write other files',
      'Give it a plain name, and send less than 8 GiB in one file',
    )
  }

  private refuseLink(entry: TarEntry): GatewayError | undefined {
    const { kind, path, linkTarget, otherLinkTargets } = entry
    if (this.sets.length === 0 || linkTarget === undefined) return undefined
    const targets = [linkTarget, ...otherLinkTargets]
    if (kind === 'HardLink') {
      // The target of a hard link is the name of an entry (POSIX.1-2001 pax, linkname).
      return this.firstRefusal(targets, (target) => this.refuseIncomingName(target))
    }
    if (this.links.size >= MAX_LINKS) {
      return this.refusal(
        path,
        `it is the ${MAX_LINKS + 1}th link of the copy`,
        'Copy less at once',
      )
    }
    const names = [path, ...entry.otherPaths].map((name) => this.resolve(name))
    for (const name of names) this.links.add(name)
    return this.firstRefusal(targets, (target) =>
      this.firstRefusal(names, (name) => {
        const at = pathWithin(folderOf(name), target)
        return this.refusePath(`${name} -> ${target}`, at, false)
      }),
    )
  }

  private refuseSize(entry: TarEntry): GatewayError | undefined {
    const { maxBytes } = this.rules
    this.bytes += entry.unpackedSize
    if (maxBytes === undefined || this.bytes <= maxBytes) return undefined
    const before = this.bytes - entry.unpackedSize
    const sum = before === 0 ? '' : `, after ${before} of other files,`
    return this.refusal(
      entry.path,
      `its ${entry.unpackedSize} bytes${sum} are over the policy's limit of ${maxBytes} in one copy`,
      'Copy less at once, or ask the author of the policy',
    )
  }

  /** `orBelow`: it is enough that something allowed may be below. */
  private refusePath(shown: string, path: string, orBelow: boolean): GatewayError | undefined {
    const failed = this.sets.find(
      ({ globs }) =>
        !globs.some((glob) => matchesPath(glob, path) || (orBelow && mayMatchBelow(glob, path))),
    )
    return failed === undefined ? undefined : this.refusal(shown, onlyPaths(failed.patterns), ASK)
  }

  private firstRefusal(
    names: readonly string[],
    refuse: (name: string) => GatewayError | undefined,
  ): GatewayError | undefined {
    for (const name of names) {
      const refusal = refuse(name)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  private refusal(path: string | undefined, why: string, advice: string): GatewayError {
    return copyNotAllowed(this.direction, path, why, advice)
  }
}

/** tar takes the leading slash away; undefined: nothing that was asked for. */
function requestedPath(requested: readonly string[], name: string): string | undefined {
  const path = normalPath(name)
  const isAsked = requested.some(
    (asked) => isAbsolutePath(asked) && isWithin(path, normalPath(asked)),
  )
  return isAsked ? path : undefined
}

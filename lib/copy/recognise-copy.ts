/**
 * Is this exec one of those that `kubectl cp` makes? (kubectl 1.20 to 1.37, pkg/cmd/cp/cp.go.)
 *
 * Only the exact shapes are: everything else stays an exec and is decided as one. A path that tar
 * would take as an option (`--to-command=...`, `-I`, `--checkpoint-action=...`) is no path.
 *
 * This folder is pure: values in, values out, no sockets, no clock.
 * May import: errors, api, streams, and node:crypto.
 */
export type CopyCommand =
  | { kind: 'Download'; paths: string[]; fromByte: number }
  | { kind: 'Upload'; directory: string | undefined }
  | { kind: 'Probe'; path: string }

export interface ExecFlags {
  stdin: boolean
  tty: boolean
}

/** kubectl wrote `xf -` to 1.14, `-xf -` to 1.17 and writes `-xmf -` since. */
const EXTRACT = new Set(['xf', '-xf', '-xmf'])
const NO_PRESERVE = ['--no-same-permissions', '--no-same-owner']

/**
 * kubectl puts the path of `--retries` into the script without quotes (cp.go, `initReadFrom`), so
 * only characters that no shell looks at are taken; in single quotes any are.
 */
const RETRY = /^tar cf - (?:([\w./@%+=:,-]+)|('.*')) \| tail -c\+(\d{1,16})$/s
const QUOTED_QUOTE = /'\\''|'"'"'/g

/** Undefined: not a copy of kubectl's. `fromByte` counts from 1, which is the whole archive. */
export function recogniseCopy(argv: readonly string[], flags: ExecFlags): CopyCommand | undefined {
  if (flags.tty) return undefined
  const [program] = argv
  if (program === 'tar') return flags.stdin ? upload(argv) : download(argv)
  if (flags.stdin) return undefined
  if (program === 'sh') return retriedDownload(argv)
  if (program === 'test') return probe(argv)
  return undefined
}

function download([, mode, archive, ...paths]: readonly string[]): CopyCommand | undefined {
  if (mode !== 'cf' || archive !== '-' || paths.length === 0) return undefined
  return paths.every(isPath) ? { kind: 'Download', paths, fromByte: 1 } : undefined
}

function retriedDownload([, option, script, ...rest]: readonly string[]): CopyCommand | undefined {
  if (option !== '-c' || script === undefined || rest.length > 0) return undefined
  const [, bare, quoted, offset = ''] = RETRY.exec(script) ?? []
  const path = bare ?? (quoted === undefined ? undefined : unquoted(quoted))
  const fromByte = Math.max(1, Number(offset))
  if (path === undefined || !isPath(path) || !Number.isSafeInteger(fromByte)) return undefined
  // The first try asks for byte 0, which tail takes as 1.
  return { kind: 'Download', paths: [path], fromByte }
}

function upload([, ...options]: readonly string[]): CopyCommand | undefined {
  const kept = NO_PRESERVE.every((option, k) => options[k] === option)
  const [mode = '', archive, change, directory, ...rest] = kept ? options.slice(2) : options
  const isExtract = kept ? mode === '-xmf' : EXTRACT.has(mode)
  if (!isExtract || archive !== '-' || rest.length > 0) return undefined
  if (change === undefined) return { kind: 'Upload', directory: undefined }
  if (change !== '-C' || directory === undefined || !isText(directory)) return undefined
  return { kind: 'Upload', directory }
}

function probe([, option, path, ...rest]: readonly string[]): CopyCommand | undefined {
  if (option !== '-d' || path === undefined || rest.length > 0) return undefined
  return isText(path) ? { kind: 'Probe', path } : undefined
}

/** `'it'\''s'` → `it's`; undefined when a quote ends within. */
function unquoted(text: string): string | undefined {
  const inner = text.slice(1, -1)
  return inner.replaceAll(QUOTED_QUOTE, '').includes("'")
    ? undefined
    : inner.replaceAll(QUOTED_QUOTE, "'")
}

/** `@archive` is how bsdtar takes the entries of another archive. */
function isPath(text: string): boolean {
  return isText(text) && !/^[-@]/.test(text)
}

function isText(text: string): boolean {
  return text !== '' && !text.includes('\0')
}

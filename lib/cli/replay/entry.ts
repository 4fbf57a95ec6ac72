/**
 * One line of a transcript as the gateway serves it. PURE.
 */
import { CliError, ExitCode } from '../cli-error.ts'
import { listAt, numberAt, textAt, valueAt } from '../json-value.ts'

export interface TranscriptEntry {
  kind: string
  /** Since the session began. */
  atMs: number
  data: Uint8Array
}

export function parseEntry(line: unknown): TranscriptEntry {
  const kind = textAt(line, 'kind')
  const atMs = numberAt(line, 'atMs')
  const data = valueAt(line, 'data')
  if (kind === undefined || atMs === undefined || typeof data !== 'string') {
    throw new CliError(ExitCode.Error, 'the gateway sent a line that is no part of a transcript')
  }
  return { kind, atMs, data: Buffer.from(data, 'base64') }
}

/** What the error stream said in the end (a metav1.Status), in kubectl's own words; undefined for success. */
export function endText(data: Uint8Array): string | undefined {
  const status = parseJson(data)
  if (textAt(status, 'status') !== 'Failure') return undefined
  const exitCode = listAt(status, 'details', 'causes').find(
    (cause) => textAt(cause, 'reason') === 'ExitCode',
  )
  const code = textAt(exitCode, 'message')
  if (textAt(status, 'reason') === 'NonZeroExitCode' && code !== undefined) {
    return `command terminated with exit code ${code}`
  }
  return `error: ${textAt(status, 'message') ?? 'unknown'}`
}

/** Columns and rows of a resize entry (`{"Width":80,"Height":24}`). */
export function terminalSize(data: Uint8Array): { columns: number; rows: number } | undefined {
  const size = parseJson(data)
  const columns = numberAt(size, 'Width')
  const rows = numberAt(size, 'Height')
  return columns === undefined || rows === undefined ? undefined : { columns, rows }
}

function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as unknown
  } catch {
    return undefined
  }
}

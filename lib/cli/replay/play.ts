/**
 * Shows a transcript as it was seen, in its own time.
 *
 * Entries are pulled one by one: while a pause lasts or the reader of our output
 * is slow, nothing more is taken from the gateway.
 */
import { escapeText } from '../../streams/sanitize-terminal.ts'
import type { CliIo } from '../io.ts'
import { endText, parseEntry, terminalSize, type TranscriptEntry } from './entry.ts'
import { createEventLog } from './event-log.ts'
import { createPace, type PaceOptions } from './pace.ts'
import { createScreen } from './screen.ts'

export interface PlayOptions extends PaceOptions {
  /** Terminal sequences as they were, also those that do more than draw. */
  raw: boolean
}

/** Ends early, and quietly, when `signal` aborts. The terminal is left in order in any case. */
export async function playTranscript(
  lines: AsyncIterable<unknown>,
  io: CliIo,
  options: PlayOptions,
  signal: AbortSignal,
): Promise<void> {
  const pace = createPace(options)
  const screen = createScreen(io, options.raw)
  const notes: string[] = []
  const events = createEventLog()
  const startedMs = io.now()
  let sizeNoted = false
  try {
    for await (const line of lines) {
      const entry = parseEntry(line)
      const waitMs = startedMs + pace.dueMs(entry.atMs) - io.now()
      if (options.speed !== 0 && waitMs >= 1) await io.sleep(waitMs, signal)
      if (signal.aborted) break
      if (entry.kind === 'stdout' || entry.kind === 'stderr') {
        await screen.show(entry.kind, entry.data)
      } else if (entry.kind === 'error') {
        const text = endText(entry.data)
        if (text !== undefined) notes.push(text)
      } else if (entry.kind === 'note') {
        notes.push(Buffer.from(entry.data).toString('utf8').trim())
      } else if (entry.kind === 'resize' && !sizeNoted) {
        sizeNoted = noteSmallScreen(entry, io, notes)
      } else {
        const text = events.line(entry)
        if (text !== undefined) io.stderr.write(`${escapeText(text)}\n`)
      }
    }
  } catch (error) {
    // The stream is torn down under our feet when Ctrl-C closes it: that is the end asked for.
    if (!signal.aborted) throw error
  } finally {
    await screen.close()
  }
  // After the last byte: in the midst of a screen a line would only be painted over.
  for (const text of [...notes, ...events.summary()]) {
    for (const part of text.split(/\r?\n/)) io.stderr.write(`${escapeText(part)}\n`)
  }
}

function noteSmallScreen(entry: TranscriptEntry, io: CliIo, notes: string[]): boolean {
  const size = terminalSize(entry.data)
  const { columns, rows } = io.stdout
  if (size === undefined || columns === undefined || rows === undefined) return false
  if (size.columns <= columns && size.rows <= rows) return false
  notes.push(
    `This was recorded in a terminal of ${size.columns}x${size.rows}; yours has ${columns}x${rows}, so lines may be broken.`,
  )
  return true
}

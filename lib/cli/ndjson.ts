/**
 * One JSON document per line, as watches and transcripts travel.
 *
 * Lines are cut on bytes and decoded whole, so a character that straddles two
 * chunks survives. Reading pulls: while the consumer is busy, nothing more is
 * taken from the stream, and TCP holds the server back.
 */
import { CliError, ExitCode } from './cli-error.ts'

const NEWLINE = 0x0a

/** A frame of a transcript is far below this; a whole object of etcd is at most 1.5 MiB. */
const MAX_LINE_BYTES = 16 * 1024 * 1024

export async function* readNdjson(
  stream: AsyncIterable<Uint8Array>,
  maxLineBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<unknown, void, undefined> {
  let pieces: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start)
      const piece = chunk.subarray(start, end === -1 ? chunk.length : end)
      size += piece.length
      if (size > maxLineBytes) {
        throw new CliError(
          ExitCode.Error,
          `the server sent a line of more than ${maxLineBytes} bytes`,
        )
      }
      pieces.push(piece)
      if (end === -1) break
      const line = Buffer.concat(pieces)
      pieces = []
      size = 0
      start = end + 1
      if (line.length > 0) yield parseLine(line)
    }
  }
  // A document cut off by the end of the stream is not a document.
  if (size > 0) throw new CliError(ExitCode.Error, 'the answer of the server was cut off')
}

function parseLine(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8')) as unknown
  } catch {
    throw new CliError(ExitCode.Error, 'the server sent a line that is not JSON')
  }
}

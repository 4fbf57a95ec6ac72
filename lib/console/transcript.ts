/**
 * A transcript on its way out: one JSON document a line, as fast as the client takes it.
 */
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { errorCode } from '../errors/gateway-error.ts'
import type { Entry } from '../recording/frame.ts'
import { replayEntries } from '../recording/replay.ts'
import type { SessionDocument } from '../recording/session-document.ts'
import type { TranscriptStore } from '../recording/store.ts'

/** Rejects as long as no byte is out; later failures break the connection instead. */
export async function sendTranscript(
  store: TranscriptStore,
  session: SessionDocument,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const replay = replayEntries((seq) => store.getFrame(session._id, seq))
  // What is wrong with the store shows here, while an error can still be told.
  const first = await replay.next()
  response.statusCode = 200
  response.setHeader('Content-Type', 'application/x-ndjson')
  try {
    await pipeline(Readable.from(lines(first, replay), { highWaterMark: 1 }), response, { signal })
  } catch (error) {
    // The client has gone: nobody is left to tell, and nothing is wrong with us.
    if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}

async function* lines(
  first: IteratorResult<Entry[], void>,
  rest: AsyncGenerator<Entry[], void, undefined>,
): AsyncGenerator<Buffer, void, undefined> {
  if (first.done === true) return
  yield toNdjson(first.value)
  for await (const entries of rest) yield toNdjson(entries)
}

function toNdjson(entries: readonly Entry[]): Buffer {
  const text = entries.map(({ kind, atMs, data }) => {
    const base64 = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')
    return `{"atMs":${atMs},"kind":"${kind}","data":"${base64}"}\n`
  })
  return Buffer.from(text.join(''))
}

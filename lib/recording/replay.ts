/**
 * Frames back into what was shown and when. PURE: frames come from `fetch`.
 *
 * Ends at the terminal record, or where a running session has got to: at the first place without
 * data. What may lie beyond (late frames of a writer that had been declared dead) was never
 * released and is no part of the transcript.
 */
import { decodeFrame, type Entry, type FrameDocument } from './frame.ts'

/** Frames asked for ahead; at most this many are held at once. */
const READ_AHEAD = 4

export async function* replayEntries(
  fetch: (seq: number) => Promise<FrameDocument | undefined>,
  readAhead: number = READ_AHEAD,
): AsyncGenerator<Entry[], void, undefined> {
  const ahead: Promise<FrameDocument | undefined>[] = []
  let seq = 0
  const ask = (): void => {
    const frame = fetch(seq++)
    // It is awaited in its turn; until then a failure is nobody's unhandled rejection.
    frame.catch(() => {})
    ahead.push(frame)
  }
  ask()
  for (let expected = 0; ; expected++) {
    const frame = await ahead.shift()
    if (frame === undefined || frame.kind === 'end') return
    // A short session costs one look-up beyond its end, not a whole window.
    while (ahead.length < Math.min(readAhead, expected + 1)) ask()
    yield await decodeFrame(frame)
  }
}

/**
 * The one end of a session (invariant I8).
 *
 *   frames:  0 data | 1 data | ... | n-1 data | n END      nothing counts after END
 *
 * The terminal record is a frame of its own, inserted at the first free place. A place can be
 * taken only once, so of any number of sealers (the writer, other replicas, a successor after a
 * crash) one wins and the others find its record. A writer that was only asleep meets END where
 * its next frame should go and learns that it is over: nothing it holds is released any more.
 * No conditional update is needed, which not every server of the wire protocol does atomically.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { frameId, FRAME_SCHEMA_VERSION, type EndFrame } from './frame.ts'
import type { TerminalRecord } from './session-document.ts'
import type { TranscriptStore } from './store.ts'

/** A writer has at most this many frames under way, so no gap lies further back from the last frame. */
export const MAX_IN_FLIGHT = 16

/** Puts the terminal record, or finds the one that was there before. `firstFree`: no free place lies before it. */
export async function sealSession(
  store: TranscriptStore,
  session: string,
  firstFree: number,
  end: Omit<TerminalRecord, 'frames'>,
): Promise<TerminalRecord> {
  const record = await putEnd(store, session, firstFree, end)
  await store.setEnd(session, record)
  return record
}

async function putEnd(
  store: TranscriptStore,
  session: string,
  firstFree: number,
  end: Omit<TerminalRecord, 'frames'>,
): Promise<TerminalRecord> {
  for (let seq = firstFree; ; seq++) {
    const record = { ...end, frames: seq }
    const frame: EndFrame = {
      _id: frameId(session, seq),
      session,
      seq,
      schemaVersion: FRAME_SCHEMA_VERSION,
      writer: end.sealedBy,
      kind: 'end',
      end: record,
    }
    if ((await store.putFrame(frame)) === 'stored') return record
    const found = await store.getFrame(session, seq)
    if (found === undefined) {
      throw new GatewayError('ServiceUnavailable', 'the terminal record is not readable yet', {
        id: 1012,
      })
    }
    if (found.kind === 'end') return found.end
  }
}

/** The first place of an abandoned session that holds no data: free, or its end. */
export async function findEndOfData(store: TranscriptStore, session: string): Promise<number> {
  const isData = async (seq: number): Promise<boolean> =>
    (await store.peekFrame(session, seq)) === 'data'
  let known = -1
  let beyond = 0
  while (await isData(beyond)) {
    known = beyond
    beyond = beyond * 2 + 1
  }
  while (beyond - known > 1) {
    const middle = Math.floor((known + beyond) / 2)
    if (await isData(middle)) known = middle
    else beyond = middle
  }
  // Frames are stored out of order, within one window: the search may have jumped over a gap.
  let seq = Math.max(0, known - MAX_IN_FLIGHT + 1)
  while (await isData(seq)) seq++
  return seq
}

/** What the transcript of a session says beside bytes. */
import { parseEvent, type SessionEvent } from '../../../lib/recording/event.ts'
import { decodeFrame } from '../../../lib/recording/frame.ts'
import { createMongoStore } from '../../../lib/recording/mongo-store.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { Shop } from './shop.ts'

export async function transcriptEvents(
  shop: Shop,
  { _id }: SessionDocument,
): Promise<SessionEvent[]> {
  const store = createMongoStore(shop.sandbox.json.mongodb)
  try {
    const events: SessionEvent[] = []
    for (let seq = 0; ; seq += 1) {
      const frame = await store.getFrame(_id, seq)
      if (frame === undefined || frame.kind === 'end') return events
      for (const { kind, data } of await decodeFrame(frame)) {
        const event = kind === 'event' ? parseEvent(data) : undefined
        if (event !== undefined) events.push(event)
      }
    }
  } finally {
    await store.close()
  }
}

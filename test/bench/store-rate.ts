/**
 * How fast the transcript store itself takes frames: the limit of everything that is recorded
 * before it is shown, and cannot be compressed.
 */
import { randomBytes, randomUUID } from 'node:crypto'

import { encodeFrame } from '../../lib/recording/frame.ts'
import { createMongoStore } from '../../lib/recording/mongo-store.ts'

export interface StoreLoad {
  frameBytes: number
  inFlight: number
  totalBytes: number
}

/** Inserts frames of random bytes, `inFlight` at a time, each acknowledged; MB are 10^6 bytes of payload. */
export async function measureStoreRate(
  uri: string,
  { frameBytes, inFlight, totalBytes }: StoreLoad,
): Promise<{ mbPerSecond: number }> {
  const store = createMongoStore({ uri, database: 'podgate-bench' })
  try {
    await store.prepare()
    const session = `bench-${randomUUID()}`
    const data = randomBytes(frameBytes)
    const frames = Math.ceil(totalBytes / frameBytes)
    let next = 0
    const startMs = performance.now()
    const writer = async (): Promise<void> => {
      while (next < frames) {
        const place = { session, seq: next++, writer: store.replica }
        await store.putFrame(await encodeFrame([{ kind: 'stdout', atMs: 0, data }], place))
      }
    }
    await Promise.all(Array.from({ length: inFlight }, writer))
    const seconds = (performance.now() - startMs) / 1000
    return { mbPerSecond: (frames * frameBytes) / 1e6 / seconds }
  } finally {
    await store.close()
  }
}

/**
 * A process that records without end and tells on stdout what was released: one number a line.
 * The test kills it.
 *
 *   node victim.ts URI SESSION
 */
import { writeSync } from 'node:fs'

import { createMongoStore } from '../../../lib/recording/mongo-store.ts'
import { openRecording } from '../../../lib/recording/recorder.ts'
import { sessionStart } from '../../fakes/session-start.ts'

const [uri = '', id = ''] = process.argv.slice(2)
const store = createMongoStore({ uri })
await store.prepare()
const recording = await openRecording(store, sessionStart({ id }), {
  onRelease: (entries) => {
    const lines = entries.map(({ data }) => `${Buffer.from(data).toString()}\n`)
    // At once and in full: what has left this process counts as shown.
    writeSync(1, lines.join(''))
  },
  onFailure: () => process.exit(1),
})
for (let number = 0; ; number++) {
  // Notes are never gathered into one, so each number stays an entry.
  recording.append({ kind: 'note', atMs: number, data: Buffer.from(String(number)) })
  if (number % 3 === 0 || recording.outstandingBytes > 10_000) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve)
    })
  }
}

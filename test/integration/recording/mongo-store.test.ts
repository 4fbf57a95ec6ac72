import { connect, createServer, type Socket } from 'node:net'

import { afterAll, describe, expect, it } from '@jest/globals'

import { encodeFrame } from '../../../lib/recording/frame.ts'
import { createMongoStore } from '../../../lib/recording/mongo-store.ts'
import type { TranscriptStore } from '../../../lib/recording/store.ts'
import { describeStore } from '../../conformance/store-suite.ts'
import { startFerretDb, type FerretDb } from './ferretdb.ts'

let server: FerretDb | undefined
let store: TranscriptStore | undefined

afterAll(async () => {
  await store?.close()
  await server?.close()
})

describeStore('the store on a server of the MongoDB wire protocol', async () => {
  server = await startFerretDb()
  store = createMongoStore({ uri: server.uri })
  await store.prepare()
  return store
})

/** In front of a server: how many connections were made through it. */
async function countingFront(target: number): Promise<{
  port: number
  connections(): number
  close(): Promise<void>
}> {
  const sockets = new Set<Socket>()
  let count = 0
  const front = createServer((client) => {
    count += 1
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.once('close', () => sockets.delete(socket))
    }
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => {
    front.listen(0, '127.0.0.1', resolve)
  })
  const address = front.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: () => count,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => {
        front.close(resolve)
      })
    },
  }
}

describe('the connections of the store', () => {
  /** The driver watches the server over a connection of its own, or two. */
  const WATCHING = 2
  const WRITES = 12
  const cases: [string, string][] = [
    ['as the URI says', '?maxPoolSize=1'],
    ['as it says in any spelling', '?appName=x&maxpoolsize=1'],
  ]
  it.each(cases)('are limited %s', async (_name, query) => {
    server ??= await startFerretDb()
    const front = await countingFront(Number(new URL(server.uri).port))
    const limited = createMongoStore({ uri: `mongodb://127.0.0.1:${front.port}/${query}` })
    try {
      await limited.prepare()
      const session = `pool-${front.port}`
      const writes = Array.from({ length: WRITES }, async (_, seq) => {
        const place = { session, seq, writer: limited.replica }
        const data = Buffer.from(`line ${seq}`)
        return await limited.putFrame(
          await encodeFrame([{ kind: 'stdout', atMs: seq, data }], place),
        )
      })
      expect(new Set(await Promise.all(writes))).toEqual(new Set(['stored']))
      expect(front.connections()).toBeLessThanOrEqual(1 + WATCHING)
    } finally {
      await limited.close()
      await front.close()
    }
  })
})

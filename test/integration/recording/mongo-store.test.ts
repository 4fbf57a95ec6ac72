import { afterAll } from '@jest/globals'

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

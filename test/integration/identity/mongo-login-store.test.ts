import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import type { LoginStore } from '../../../lib/identity/login-store.ts'
import { createMongoLoginStore } from '../../../lib/identity/mongo-login-store.ts'
import { describeLoginStore } from '../../conformance/login-store-suite.ts'
import { type FerretDb, startFerretDb } from '../recording/ferretdb.ts'

let server: FerretDb
const opened: LoginStore[] = []

async function open(database = 'logins'): Promise<LoginStore> {
  const store = createMongoLoginStore({
    uri: server.uri,
    database,
    serverSelectionMs: 500,
    operationMs: 2000,
  })
  opened.push(store)
  await store.prepare()
  return store
}

beforeAll(async () => {
  server = await startFerretDb()
})

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()))
  await server.close()
})

describeLoginStore('the login store on MongoDB', () => open())

describe('the login store on MongoDB', () => {
  it('is prepared by one replica after the other', async () => {
    await open('prepared')
    const again = await open('prepared')
    expect(await again.listRevocations()).toEqual([])
  })

  it('says that it cannot be reached while its server is away, and goes on after', async () => {
    const store = await open('away')
    await server.kill('SIGKILL')
    await expect(store.revocationVersion()).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      id: 1452,
    })
    await expect(store.spend('once', new Date())).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
    })
    await server.start()
    expect(await store.spend('once', new Date(Date.now() + 1000))).toBe(true)
  })
})

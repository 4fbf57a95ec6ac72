import { beforeEach, describe, expect, it } from '@jest/globals'

import { createPeople, findPerson } from '../../../lib/sandbox/people.ts'
import { createStoreAdapter, type ProviderStore } from '../../../lib/sandbox/provider-store.ts'

let nowMs: number
let store: ProviderStore

beforeEach(() => {
  nowMs = 1_000_000
  store = new Map()
})

function adapter(model: string): ReturnType<typeof createStoreAdapter> {
  return createStoreAdapter(model, store, () => nowMs)
}

describe('the store of the identity provider', () => {
  it('forgets at the end of a life', async () => {
    await adapter('Session').upsert('1', { uid: 'u' }, 10)
    nowMs += 9_999
    expect(await adapter('Session').find('1')).toEqual({ uid: 'u' })
    expect(await adapter('Session').findByUid('u')).toEqual({ uid: 'u' })
    nowMs += 1
    expect(await adapter('Session').find('1')).toBeUndefined()
    expect(await adapter('Session').findByUid('u')).toBeUndefined()
  })

  it('keeps models apart', async () => {
    await adapter('Session').upsert('1', { uid: 'u' })
    expect(await adapter('Grant').find('1')).toBeUndefined()
    expect(await adapter('Interaction').findByUid('u')).toBeUndefined()
  })

  it('ends everything that came from one sign-in, and nothing of another', async () => {
    await adapter('RefreshToken').upsert('1', { grantId: 'a' })
    await adapter('AccessToken').upsert('2', { grantId: 'a' })
    await adapter('RefreshToken').upsert('3', { grantId: 'b' })
    await adapter('RefreshToken').revokeByGrantId('a')
    expect([...store.keys()]).toEqual(['RefreshToken:3'])
  })

  it('remembers that a code was used', async () => {
    await adapter('AuthorizationCode').upsert('1', {})
    await adapter('AuthorizationCode').consume('1')
    expect(await adapter('AuthorizationCode').find('1')).toEqual({ consumed: 1_000 })
    await adapter('AuthorizationCode').destroy('1')
    expect(store.size).toBe(0)
  })
})

describe('the people of the sandbox', () => {
  it('have passwords nobody can guess, and each time others', () => {
    const passwords = [...createPeople(), ...createPeople()].map(({ password }) => password)
    expect(new Set(passwords).size).toBe(8)
    expect(Math.min(...passwords.map(({ length }) => length))).toBeGreaterThanOrEqual(24)
  })

  it('get in with their own password alone', () => {
    const people = createPeople()
    const [ana, bo] = people
    expect(findPerson(people, 'ana', ana?.password ?? '')?.name).toBe('ana')
    const wrong: [string, string][] = [
      ['ana', bo?.password ?? ''],
      ['ana', ''],
      ['ana', `${ana?.password ?? ''} `],
      ['Ana', ana?.password ?? ''],
      ['', ''],
      ['eve', ana?.password ?? ''],
    ]
    for (const [name, password] of wrong) expect(findPerson(people, name, password)).toBeUndefined()
  })
})

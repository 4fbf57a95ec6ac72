/** A provider whose clock is not ours. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { ScriptedProvider } from './scripted-provider.ts'

let provider: ScriptedProvider

beforeAll(async () => {
  provider = await ScriptedProvider.start()
})

afterEach(() => {
  provider.claims = {}
})

afterAll(async () => {
  await provider.close()
})

/** Claims in seconds from now, in tokens that a provider makes whose clock is off by so much. */
function madeAt(seconds: number, lifetime = 600): Record<string, number> {
  const then = Math.floor(Date.now() / 1000) + seconds
  return { iat: then, nbf: then, auth_time: then, exp: then + lifetime }
}

describe('somebody who signs in where the clock differs', () => {
  it.each<[string, Record<string, number>, number | undefined]>([
    ['is ahead by 40 s', madeAt(40), undefined],
    ['is behind by 40 s, with a token for 10 s', madeAt(-40, 10), undefined],
    ['is ahead by four minutes, where five are allowed', madeAt(240), 300],
    ['is behind by four minutes, where five are allowed', madeAt(-240, 10), 300],
  ])('comes in while the other %s', async (_name, claims, clockSkewSeconds) => {
    provider.claims = claims
    const signIn = provider.signIn(clockSkewSeconds === undefined ? {} : { clockSkewSeconds })
    await expect(provider.personAfter(signIn)).resolves.toMatchObject({ username: 'ana' })
  })

  it.each<[string, Record<string, number>, number | undefined]>([
    ['is ahead by five minutes', madeAt(300), undefined],
    ['is behind by five minutes, with a token for 10 s', madeAt(-300, 10), undefined],
    ['is ahead by 40 s, where ten are allowed', madeAt(40), 10],
    ['is behind by 40 s, where ten are allowed', madeAt(-40, 10), 10],
  ])('does not come in while the other %s', async (_name, claims, clockSkewSeconds) => {
    provider.claims = claims
    const signIn = provider.signIn(clockSkewSeconds === undefined ? {} : { clockSkewSeconds })
    await expect(provider.personAfter(signIn)).rejects.toMatchObject({ reason: 'Unauthorized' })
  })
})

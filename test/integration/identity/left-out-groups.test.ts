/**
 * A provider that leaves groups out of its tokens, as Entra ID does of somebody in more than 200,
 * and the place where the gateway is told to ask for them.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type { OidcSignIn } from '../../../lib/identity/oidc-sign-in.ts'
import { ScriptedProvider } from './scripted-provider.ts'

const ELSEWHERE = {
  _claim_names: { groups: 'src1' },
  _claim_sources: { src1: { endpoint: 'https://attacker.example/groups' } },
}

let provider: ScriptedProvider

beforeAll(async () => {
  provider = await ScriptedProvider.start()
})

afterAll(async () => {
  await provider.close()
})

beforeEach(() => {
  provider.claims = { groups: undefined, ...ELSEWHERE }
  provider.directory = { status: 200, body: { value: ['g-1', 'g-2'] } }
  provider.asked = []
})

async function groupsAfter(signIn: OidcSignIn): Promise<string[]> {
  return (await provider.personAfter(signIn)).groups
}

/** A gateway that asks there. */
function asking(): OidcSignIn {
  return provider.signIn({ groupsUrl: `${provider.origin}/groups` })
}

describe('groups that a token leaves out', () => {
  it.each<[string, Record<string, unknown>]>([
    ['by pointing elsewhere', ELSEWHERE],
    ['by saying that there are some', { hasgroups: true }],
    ['by the short form', { 'groups:src1': 'https://attacker.example' }],
  ])(
    '%s are asked for at the configured place, with the person’s own token',
    async (_name, left) => {
      provider.claims = left
      expect(await groupsAfter(asking())).toEqual(['x:g-1', 'x:g-2'])
      expect(provider.asked).toEqual([
        { authorization: 'Bearer for-the-directory', body: { securityEnabledOnly: true } },
      ])
    },
  )

  it('are not asked for when they are all there', async () => {
    provider.claims = { groups: ['dev'] }
    expect(await groupsAfter(asking())).toEqual(['x:dev'])
    expect(provider.asked).toEqual([])
  })

  it('end the sign-in in words where no place is configured', async () => {
    await expect(groupsAfter(provider.signIn())).rejects.toMatchObject({ id: 1409 })
  })

  it.each<[string, { status: number; body: unknown }]>([
    ['refuses', { status: 403, body: { error: {} } }],
    ['sends us elsewhere', { status: 302, body: {} }],
    ['answers no list', { status: 200, body: { value: 'g-1' } }],
    ['answers a list of other things', { status: 200, body: { value: [{ id: 'g-1' }] } }],
    ['answers nothing', { status: 200, body: null }],
    ['answers a part', { status: 200, body: { value: ['a'], '@odata.nextLink': 'https://x' } }],
    ['answers too many', { status: 200, body: { value: Array.from({ length: 2001 }, String) } }],
  ])('let nobody in while the place %s: no groups would be a lie', async (_name, answer) => {
    provider.directory = answer
    await expect(groupsAfter(asking())).rejects.toMatchObject({
      reason: 'ServiceUnavailable',
      id: 1419,
    })
  })

  it('are refused when one of them is a name of the cluster', async () => {
    provider.directory.body = { value: ['ok', 'a\nb'] }
    await expect(groupsAfter(asking())).rejects.toMatchObject({ id: 1408 })
  })

  it('are no reason to take somebody for another: a sign-in stays that of its person', async () => {
    provider.claims = { groups: ['dev'] }
    const signIn = asking()
    expect(await signIn.recheck('again', 'bo')).toEqual({
      kind: 'ended',
      why: expect.stringContaining('names somebody else'),
    })
  })

  it('are asked for again when the provider is, and an outage takes nothing away', async () => {
    const signIn = asking()
    provider.directory.body = { value: ['g-3'] }
    expect(await signIn.recheck('again', 'ana')).toMatchObject({
      kind: 'alive',
      person: { groups: ['x:g-3'] },
    })
    provider.directory.status = 503
    const answer = await signIn.recheck('again', 'ana')
    expect(answer).toEqual({
      kind: 'alive',
      upstream: 'again',
      problem: expect.stringContaining('left your groups out'),
    })
  })
})

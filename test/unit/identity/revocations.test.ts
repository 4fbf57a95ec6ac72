import { beforeEach, describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { RevocationTarget } from '../../../lib/identity/login-store.ts'
import { createRevocations, type Revocations } from '../../../lib/identity/revocations.ts'
import { createRevoker, type RevokeAsk, type Revoker } from '../../../lib/identity/revoke.ts'
import type { User } from '../../../lib/identity/user.ts'
import { createMemoryLoginStore, type MemoryLoginStore } from '../../fakes/memory-login-store.ts'
import { ISSUER, userNamed } from '../../fakes/user.ts'

let store: MemoryLoginStore
let clock: number
const NOW = Date.UTC(2026, 10, 23, 12)
let stop: AbortController
/** Two replicas; rules are written at the first. */
let here: Revocations
let there: Revocations
let revoker: Revoker

function replica(): Revocations {
  return createRevocations({
    store,
    stop: stop.signal,
    onError: () => undefined,
    now: () => clock,
    rereadMs: 10_000,
    maxAgeMs: 60_000,
  })
}

beforeEach(async () => {
  store = createMemoryLoginStore()
  clock = NOW
  stop = new AbortController()
  here = replica()
  there = replica()
  await here.refresh()
  await there.refresh()
  revoker = createRevoker({ store, revocations: here, keepMs: 3_600_000, now: () => clock })
})

const LOGIN = 'l-1'

function ana(overrides: Partial<User['credential']> = {}, issuer = ISSUER): User {
  return userNamed('ana', {
    issuer,
    credential: {
      kind: 'GatewayToken',
      id: 't-1',
      issuedAt: NOW - 1000,
      login: LOGIN,
      ...overrides,
    },
  })
}

function revoke(
  target: RevocationTarget,
  overrides: Partial<RevokeAsk> = {},
): ReturnType<Revoker['revoke']> {
  return revoker.revoke({ target, block: true, by: 'bo', reason: 'left', ...overrides })
}

function isOut(user: User): boolean {
  try {
    there.assertAllowed(user)
    return false
  } catch (error) {
    if (!GatewayError.is(error)) throw error
    expect(error).toMatchObject({ reason: 'Unauthorized', id: 1450 })
    return true
  }
}

const USER = { kind: 'User', username: 'ana' } as const

describe('a revocation is about', () => {
  it.each<[string, RevocationTarget, Partial<RevokeAsk>, User, boolean]>([
    ['a person', USER, {}, ana(), true],
    ['nobody else', USER, {}, userNamed('anabel'), false],
    ['the very name, in its case', USER, {}, userNamed('Ana'), false],
    ['a person by any token', USER, {}, ana({ kind: 'IdToken', id: 't-9' }), true],
    ['a person of this provider', { ...USER, issuer: ISSUER }, {}, ana(), true],
    ['not one of another', { ...USER, issuer: 'https://other' }, {}, ana(), false],
    ['what a person signs in with later', USER, {}, ana({ issuedAt: Date.UTC(2030, 1) }), true],
    ['or only what was there', USER, { block: false }, ana(), true],
    ['to the millisecond', USER, { block: false }, ana({ issuedAt: NOW }), true],
    ['and nothing after', USER, { block: false }, ana({ issuedAt: NOW + 1 }), false],
    ['all of a provider', { kind: 'Issuer', issuer: ISSUER }, {}, ana(), true],
    ['and not those of another', { kind: 'Issuer', issuer: 'https://o' }, {}, ana(), false],
    [
      'nor what they sign in with later, where it is only about what there was',
      { kind: 'Issuer', issuer: ISSUER },
      { block: false },
      ana({ issuedAt: NOW + 1 }),
      false,
    ],
    ['one token', { kind: 'Token', id: 't-1' }, { block: false }, ana(), true],
    ['and no other', { kind: 'Token', id: 't-1' }, { block: false }, ana({ id: 't-2' }), false],
    ['one sign-in', { kind: 'Login', id: LOGIN }, { block: false }, ana({ id: 't-7' }), true],
    ['and no other sign-in', { kind: 'Login', id: 'l-2' }, { block: false }, ana(), false],
    [
      'a running session, not a person',
      { kind: 'Session', id: 's-1' },
      { block: false },
      ana(),
      false,
    ],
  ])('%s', async (_name, target, overrides, user, want) => {
    expect(isOut(user)).toBe(false)
    await revoke(target, overrides)
    await there.refresh()
    expect(isOut(user)).toBe(want)
  })
})

it('what runs of a sign-in ends with it, and nothing else', () => {
  const [hers, other] = [here.watch(ana()), here.watch(ana({ login: 'l-2' }))]
  const over = new GatewayError('Unauthorized', 'sign-in expired', { id: 1405 })
  here.endLogin(LOGIN, over)
  expect(hers.signal.reason).toBe(over)
  expect(other.signal.aborted).toBe(false)
  hers.release()
  other.release()
})

describe('a revocation', () => {
  it.each<[string, RevocationTarget]>([
    ['a token, which may be a certificate of years', { kind: 'Token', id: 'c-1' }],
    ['all that somebody had', USER],
    ['all of a provider', { kind: 'Issuer', issuer: ISSUER }],
  ])('of %s is never forgotten', async (_name, target) => {
    expect(await revoke(target, { block: false })).toMatchObject({ until: null })
  })

  it('of one thing is one, however often it is said', async () => {
    const first = await revoke(USER, { block: false })
    clock += 5000
    const second = await revoke(USER, { block: false })
    expect(second._id).toBe(first._id)
    expect(await store.listRevocations()).toHaveLength(1)
    await there.refresh()
    expect(isOut(ana({ issuedAt: NOW + 4000 }))).toBe(true)
  })

  it('that is said again ends what has begun since', async () => {
    await revoke(USER, { block: false })
    await there.refresh()
    const live = there.watch(ana({ issuedAt: NOW + 1000 }))
    expect(live.signal.aborted).toBe(false)
    clock += 5000
    await revoke(USER, { block: false })
    await there.refresh()
    expect(live.signal.reason).toMatchObject({ id: 1450 })
    live.release()
  })

  it('says who, when, why and what helps', async () => {
    await revoke(USER)
    expect(() => here.assertAllowed(ana())).toThrow(
      'your access was revoked by bo at 2026-11-23 12:00 UTC: "left". Signing in again does not help; talk to them',
    )
    await revoke({ kind: 'Token', id: 't-5' }, { block: false, reason: '' })
    const other = userNamed('cy', { credential: { kind: 'IdToken', id: 't-5', issuedAt: 0 } })
    expect(() => here.assertAllowed(other)).toThrow(/UTC\. Sign in again: kubectl podgate login$/)
  })

  it('counts at once where it was written, and elsewhere with the next look', async () => {
    await revoke(USER)
    expect(() => here.assertAllowed(ana())).toThrow()
    expect(isOut(ana())).toBe(false)
    await there.refresh()
    expect(isOut(ana())).toBe(true)
  })

  it('is lifted, and is no more', async () => {
    const { _id } = await revoke(USER)
    await there.refresh()
    await revoker.lift(_id)
    await there.refresh()
    expect(isOut(ana())).toBe(false)
    await expect(revoker.lift(_id)).rejects.toMatchObject({ reason: 'NotFound', id: 1454 })
  })

  it('for a time is over after it', async () => {
    await revoke(USER, { until: new Date(clock + 20_000) })
    await there.refresh()
    clock += 19_999
    await there.refresh()
    expect(isOut(ana())).toBe(true)
    clock += 10_001
    await there.refresh()
    expect(isOut(ana())).toBe(false)
  })

  it('is found by looking at everything now and then, should the counter not have moved', async () => {
    const { _id, ...rest } = await revoke({ kind: 'User', username: 'cy' })
    await there.refresh()
    const silent = { ...store, revocationVersion: async () => 1 }
    const deaf = createRevocations({
      store: silent,
      stop: stop.signal,
      onError: () => undefined,
      now: () => clock,
      rereadMs: 10_000,
    })
    await deaf.refresh()
    await store.putRevocation({ _id: 'r-2', ...rest, target: USER })
    await deaf.refresh()
    expect(() => deaf.assertAllowed(ana())).not.toThrow()
    clock += 10_000
    await deaf.refresh()
    expect(() => deaf.assertAllowed(ana())).toThrow()
    expect(_id).toMatch(/^r-/)
  })
})

describe('what runs', () => {
  it('is ended with words when its person is revoked, at every replica', async () => {
    const lives = [here.watch(ana()), there.watch(ana())]
    const other = there.watch(userNamed('bo'))
    await revoke(USER)
    await there.refresh()
    for (const { signal } of lives) {
      expect(signal.aborted).toBe(true)
      expect(signal.reason).toMatchObject({ id: 1450, message: expect.stringContaining('left') })
    }
    expect(other.signal.aborted).toBe(false)
  })

  it('is ended by the name of its session', async () => {
    const one = there.watch(ana())
    const two = there.watch(ana())
    one.name('s-1')
    two.name('s-2')
    await revoke({ kind: 'Session', id: 's-1' }, { block: false })
    await there.refresh()
    expect([one.signal.aborted, two.signal.aborted]).toEqual([true, false])
  })

  it('is not touched any more when it is over', async () => {
    const live = there.watch(ana())
    live.release()
    await revoke(USER)
    await there.refresh()
    expect(live.signal.aborted).toBe(false)
    expect(there.liveLogins()).toEqual([])
  })

  it('is ended when it begins after its person was revoked and before anybody looked', async () => {
    await revoke(USER)
    await there.refresh()
    expect(there.watch(ana()).signal.aborted).toBe(true)
  })

  it('names its sign-ins once each', () => {
    for (let n = 0; n < 3; n += 1) there.watch(ana())
    there.watch(userNamed('bo'))
    expect(there.liveLogins()).toEqual([LOGIN])
  })

  it("is ended by the end of the gateway, in the gateway's words", () => {
    const live = there.watch(ana())
    const reason = new GatewayError('ServiceUnavailable', 'closing', { id: 1031 })
    stop.abort(reason)
    expect(live.signal.reason).toBe(reason)
    expect(there.watch(ana()).signal.aborted).toBe(true)
  })
})

describe('a replica that cannot reach the store', () => {
  it('lets nobody in when it has not heard for a minute, and everybody when it has', async () => {
    store.mode = 'down'
    clock += 60_000
    await expect(there.refresh()).rejects.toBeDefined()
    expect(() => there.assertAllowed(ana())).not.toThrow()
    clock += 1
    expect(() => there.assertAllowed(ana())).toThrow(/nobody can tell/)
    store.mode = 'up'
    await there.refresh()
    expect(() => there.assertAllowed(ana())).not.toThrow()
  })

  it('lets nobody in before it has heard at all', () => {
    expect(() => replica().assertAllowed(ana())).toThrow(/nobody can tell/)
  })
})

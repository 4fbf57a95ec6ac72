/**
 * What every LoginStore must do. Run against the memory store (test/unit) and against a real server
 * of the MongoDB wire protocol (test/integration).
 */
import { randomUUID } from 'node:crypto'

import { beforeAll, describe, expect, it } from '@jest/globals'

import { newLoginId } from '../../lib/identity/gateway-token.ts'
import type {
  LoginDocument,
  LoginStore,
  PendingDocument,
  RevocationDocument,
} from '../../lib/identity/login-store.ts'
import type { Person } from '../../lib/identity/user.ts'

const HOUR_MS = 3_600_000

function personNamed(username: string): Person {
  return {
    username,
    uid: 'u-1',
    groups: ['dev'],
    // Dots and dollars would be operators and paths if they were field names.
    extra: { 'example.com/department': ['sales'], $where: ['x'] },
    issuer: 'https://idp.test',
    signIn: { at: 1_800_000_000_000, acr: 'mfa', amr: ['pwd', 'otp'] },
  }
}

export function loginOf(overrides: Partial<LoginDocument> = {}): LoginDocument {
  const now = Date.now()
  return {
    _id: newLoginId(),
    person: personNamed(`ana-${randomUUID()}`),
    provider: 'corp',
    subject: randomUUID(),
    providerSession: randomUUID(),
    createdAt: new Date(now),
    endsAt: new Date(now + HOUR_MS),
    checkedAt: new Date(now),
    checkingUntil: null,
    refresh: { digest: 'first', wrapped: Buffer.from([1, 2, 0, 255]), since: new Date(now) },
    spent: [],
    upstream: Buffer.from('sealed'),
    client: { address: '127.0.0.1', userAgent: 'test' },
    endedAt: null,
    endReason: null,
    ...overrides,
  }
}

function pendingOf(overrides: Partial<PendingDocument> = {}): PendingDocument {
  return {
    _id: randomUUID(),
    kind: 'Code',
    expiresAt: new Date(Date.now() + HOUR_MS),
    data: 'data',
    state: 'Open',
    ...overrides,
  }
}

function revocationOf(overrides: Partial<RevocationDocument> = {}): RevocationDocument {
  return {
    _id: `r-${randomUUID()}`,
    target: { kind: 'User', username: 'eve', issuer: 'https://idp.test' },
    block: true,
    at: new Date(),
    until: null,
    by: 'bo',
    reason: 'because',
    ...overrides,
  }
}

export function describeLoginStore(name: string, open: () => Promise<LoginStore>): void {
  describe(name, () => {
    let store: LoginStore

    beforeAll(async () => {
      store = await open()
    })

    async function put(overrides: Partial<LoginDocument> = {}): Promise<LoginDocument> {
      const login = loginOf(overrides)
      await store.insertLogin(login)
      return login
    }

    it('gives a sign-in back as it was put, bytes, times and extras alike', async () => {
      const login = await put()
      expect(await store.getLogin(login._id)).toEqual(login)
      expect(await store.getLogin('l-nobody')).toBeUndefined()
    })

    it('gives a token back as it was put', async () => {
      const { person, _id: login } = await put()
      const token = {
        _id: randomUUID(),
        login,
        person,
        issuedAt: new Date(1000),
        expiresAt: new Date(2000),
        wrapped: Buffer.from([0, 128, 255]),
      }
      await store.insertToken(token)
      expect(await store.getToken(token._id)).toEqual(token)
      expect(await store.getToken('another')).toBeUndefined()
    })

    it('lets one of many renew with the same refresh token, and remembers that it was used', async () => {
      const { _id } = await put()
      const next = (digest: string): LoginDocument['refresh'] => ({
        digest,
        wrapped: Buffer.from(digest),
        since: new Date(),
      })
      const tries = Array.from({ length: 8 }, (_, n) =>
        store.rotateRefresh(_id, 'first', next(`next-${n}`)),
      )
      const results = await Promise.all(tries)
      expect(results.filter(Boolean)).toHaveLength(1)
      const winner = `next-${results.indexOf(true)}`
      expect(await store.getLogin(_id)).toMatchObject({
        refresh: { digest: winner },
        spent: ['first'],
      })
    })

    it('renews nothing that has ended', async () => {
      const { _id, refresh } = await put({ endedAt: new Date() })
      expect(await store.rotateRefresh(_id, 'first', { ...refresh, digest: 'x' })).toBe(false)
    })

    it('lets one of many replicas ask the provider, until its time is over or it has an answer', async () => {
      const { _id, checkedAt } = await put()
      const now = new Date()
      const until = new Date(now.getTime() + 1000)
      const claim = (at: Date, seen = checkedAt): Promise<boolean> =>
        store.claimCheck(_id, seen, at, until)
      const results = await Promise.all(Array.from({ length: 8 }, () => claim(now)))
      expect(results.filter(Boolean)).toHaveLength(1)
      expect(await claim(new Date(until.getTime() + 1))).toBe(true)
      const later = new Date(now.getTime() + 5000)
      const person = personNamed('renamed')
      const found = { checkedAt: later, person, upstream: Buffer.from('new') }
      await store.finishCheck(_id, later, found)
      expect((await store.getLogin(_id))?.checkedAt).toEqual(checkedAt)
      await store.finishCheck(_id, until, found)
      expect(await claim(later)).toBe(false)
      expect(await claim(later, later)).toBe(true)
      expect(await store.getLogin(_id)).toMatchObject({
        person,
        checkedAt: later,
        upstream: Buffer.from('new'),
      })
    })

    it('keeps nothing of a check that comes back when the sign-in has ended', async () => {
      const { _id, checkedAt } = await put()
      const until = new Date(Date.now() + 1000)
      await store.claimCheck(_id, checkedAt, new Date(), until)
      await store.endLogins({ id: _id }, new Date(), 'x')
      await store.finishCheck(_id, until, { checkedAt: until, upstream: Buffer.from('new') })
      expect(await store.getLogin(_id)).toMatchObject({ checkedAt, upstream: null })
    })

    it('ends a session of the provider, and what is theirs of which no session is known', async () => {
      const one = await put()
      const { provider, subject, providerSession = '' } = one
      const { providerSession: _none, ...bare } = loginOf({ provider, subject })
      await store.insertLogin(bare)
      const other = await put({ provider, subject, providerSession: 'another' })
      const ids = await store.findLogins({ provider, providerSession, subject })
      expect(ids.toSorted()).toEqual([one._id, bare._id].toSorted())
      expect(await store.findLogins({ provider, providerSession })).toEqual([one._id])
      expect(await store.findLogins({ provider, subject })).toContain(other._id)
    })

    it('ends sign-ins by their name, their person, and the names the provider has for them', async () => {
      const at = new Date()
      const one = await put()
      const { username, issuer } = one.person
      const two = await put({ person: one.person })
      const three = await put()
      expect((await store.findLogins({ username, issuer })).toSorted()).toEqual(
        [one._id, two._id].toSorted(),
      )
      expect(await store.endLogins({ username, issuer: 'https://other' }, at, 'x')).toEqual([])
      expect(await store.endLogins({ username, issuer }, at, 'gone')).toEqual(
        expect.arrayContaining([one._id, two._id]),
      )
      expect(await store.endLogins({ username }, at, 'again')).toEqual([])
      expect(await store.findLogins({ username })).toEqual([])
      const { provider, subject, providerSession = '' } = three
      expect(await store.endLogins({ provider: 'other', subject }, at, 'x')).toEqual([])
      expect(await store.endLogins({ provider, providerSession }, at, 'x')).toEqual([three._id])
      const four = await put()
      expect(await store.endLogins({ provider, subject: four.subject }, at, 'x')).toEqual([
        four._id,
      ])
      const other = await put()
      const elsewhere = { ...other.person, issuer: `https://${other._id}.example` }
      const six = await put({ person: elsewhere })
      expect(await store.endLogins({ issuer: elsewhere.issuer }, at, 'x')).toEqual([six._id])
      const five = await put()
      expect(await store.endLogins({ id: five._id }, at, 'x')).toEqual([five._id])
      // What the provider gave is not kept.
      expect(await store.getLogin(one._id)).toMatchObject({
        endedAt: at,
        endReason: 'gone',
        upstream: null,
      })
    })

    it('lists the sign-ins that are open, of one person or of all, newest first', async () => {
      const older = await put({ createdAt: new Date(Date.now() - 1000) })
      const { username } = older.person
      const newer = await put({ person: older.person })
      await put({ person: older.person, endedAt: new Date() })
      await put({ person: older.person, endsAt: new Date(1) })
      const ids = (await store.listLogins(username, 10)).map(({ _id }) => _id)
      expect(ids).toEqual([newer._id, older._id])
      expect((await store.listLogins(username, 1)).map(({ _id }) => _id)).toEqual([newer._id])
      expect((await store.listLogins(undefined, 500)).length).toBeGreaterThanOrEqual(2)
      expect(await store.listLogins('{"$ne":null}', 10)).toEqual([])
    })

    it('gives what is pending to one of many, once', async () => {
      const pending = pendingOf()
      await store.putPending(pending)
      expect(await store.getPending(pending._id)).toEqual(pending)
      const taken = await Promise.all(
        Array.from({ length: 8 }, () => store.takePending(pending._id)),
      )
      expect(taken.filter((found) => found !== undefined)).toEqual([pending])
      expect(await store.getPending(pending._id)).toBeUndefined()
    })

    it('settles what is pending once', async () => {
      const { _id, ...rest } = pendingOf({ kind: 'Device' })
      await store.putPending({ _id, ...rest })
      expect(await store.settlePending(_id, 'Done', 'letter')).toBe(true)
      expect(await store.settlePending(_id, 'Refused', 'other')).toBe(false)
      expect(await store.settlePending('nobody', 'Done', 'x')).toBe(false)
      expect(await store.getPending(_id)).toMatchObject({ state: 'Done', data: 'letter' })
    })

    it('lets one of many spend the same, however long its name', async () => {
      const id = `assertion/${'x'.repeat(5000)}/${randomUUID()}`
      const until = new Date(Date.now() + HOUR_MS)
      const results = await Promise.all(Array.from({ length: 8 }, () => store.spend(id, until)))
      expect(results.filter(Boolean)).toHaveLength(1)
      expect(await store.spend(`${id}2`, until)).toBe(true)
      expect([await store.isSpent(id), await store.isSpent(`${id}3`)]).toEqual([true, false])
    })

    it('puts a revocation in the place of one of the same name', async () => {
      const rule = revocationOf()
      await store.putRevocation(rule)
      const before = await store.revocationVersion()
      await store.putRevocation({ ...rule, reason: 'again' })
      expect(await store.revocationVersion()).not.toBe(before)
      const listed = (await store.listRevocations()).filter(({ _id }) => _id === rule._id)
      expect(listed).toEqual([{ ...rule, reason: 'again' }])
    })

    it('counts revocations that come and go, and lists those that are there', async () => {
      const before = await store.revocationVersion()
      const rule = revocationOf()
      await store.putRevocation(rule)
      const between = await store.revocationVersion()
      expect(between).not.toBe(before)
      expect(await store.listRevocations()).toContainEqual(rule)
      expect(await store.liftRevocation(rule._id)).toBe(true)
      expect(await store.revocationVersion()).not.toBe(between)
      expect(await store.liftRevocation(rule._id)).toBe(false)
      expect(await store.listRevocations()).not.toContainEqual(rule)
    })

    it('clears out what is over, and nothing else', async () => {
      const now = new Date()
      const over = pendingOf({ expiresAt: new Date(now.getTime() - 1) })
      const open_ = pendingOf()
      const past = revocationOf({ until: new Date(now.getTime() - 1) })
      const lasting = revocationOf()
      await Promise.all([store.putPending(over), store.putPending(open_)])
      await store.putRevocation(past)
      await store.putRevocation(lasting)
      const login = await put({ endsAt: new Date(now.getTime() - 1) })
      await store.sweep(now)
      expect(await store.getPending(over._id)).toBeUndefined()
      expect(await store.getPending(open_._id)).toBeDefined()
      const ids = (await store.listRevocations()).map(({ _id }) => _id)
      expect(ids).not.toContain(past._id)
      expect(ids).toContain(lasting._id)
      // Words can still be found for somebody whose sign-in ended yesterday.
      expect(await store.getLogin(login._id)).toBeDefined()
    })
  })
}

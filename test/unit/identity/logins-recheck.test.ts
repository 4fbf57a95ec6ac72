/** What the provider of a sign-in says later, and what comes of it. */
import { beforeEach, describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { Recheck } from '../../../lib/identity/oidc-sign-in.ts'
import { eventually } from '../../fakes/eventually.ts'
import { CLIENT, HOUR, LoginsBed, MINUTE, refused } from './logins-bed.ts'

let bed: LoginsBed

beforeEach(() => {
  bed = new LoginsBed()
})

describe('the provider', () => {
  it('is asked when five minutes are over, once, with the token it gave last', async () => {
    const logins = bed.replica()
    const { access } = await bed.begin(logins)
    bed.clock += 5 * MINUTE - 1
    await logins.verify(access)
    expect(bed.asked).toEqual([])
    bed.clock += 1
    await Promise.all(Array.from({ length: 10 }, () => logins.verify(access)))
    expect(bed.asked).toEqual(['upstream-secret'])
    bed.clock += 5 * MINUTE
    await bed.replica().verify(access)
    expect(bed.asked).toEqual(['upstream-secret', 'upstream-secret+'])
  })

  it('is asked by one of two replicas', async () => {
    const [one, two] = [bed.replica(), bed.replica()]
    const { access } = await bed.begin(one)
    bed.clock += 6 * MINUTE
    await Promise.all([one.verify(access), two.verify(access)])
    expect(bed.asked).toHaveLength(1)
  })

  it('that says no ends the sign-in everywhere', async () => {
    const logins = bed.replica()
    const { access, refresh, login } = await bed.begin(logins)
    await logins.verify(access)
    bed.provider = () => Promise.resolve({ kind: 'ended', why: 'invalid_grant' })
    bed.clock += 5 * MINUTE
    await expect(logins.verify(access)).rejects.toEqual(refused(1453))
    expect(bed.ended).toEqual([[login, expect.stringContaining('invalid_grant')]])
    await expect(bed.replica().verify(access)).rejects.toEqual(refused(1453))
    await expect(bed.replica().renew(refresh)).rejects.toEqual(refused(1453))
  })

  it('that says no ends what runs, though no request comes', async () => {
    const logins = bed.replica()
    const { access, login } = await bed.begin(logins)
    await logins.verify(access)
    bed.provider = () => Promise.resolve({ kind: 'ended', why: 'access_denied' })
    bed.clock += 5 * MINUTE
    const over = await logins.recheckLive([login])
    expect([...over.keys()]).toEqual([login])
    expect(over.get(login)).toMatchObject({ id: 1453 })
    expect(bed.ended).toEqual([[login, expect.stringContaining('access_denied')]])
  })

  it('that does not answer holds up nobody, and ends the sign-in when it does', async () => {
    const logins = bed.replica({}, 20)
    const { access, refresh, login } = await bed.begin(logins)
    const answer = Promise.withResolvers<Recheck>()
    bed.provider = () => answer.promise
    bed.clock += 5 * MINUTE
    await expect(logins.verify(access)).resolves.toMatchObject({ username: 'ana' })
    await expect(logins.renew(refresh)).resolves.toMatchObject({ login })
    expect(bed.asked).toHaveLength(1)
    answer.resolve({ kind: 'ended', why: 'invalid_grant' })
    await eventually('the sign-in has ended', () => bed.ended.length > 0)
    await expect(bed.replica().verify(access)).rejects.toEqual(refused(1453))
  })

  it('that answers when the sign-in has ended meanwhile leaves nothing behind', async () => {
    const logins = bed.replica({}, 20)
    const { access, login } = await bed.begin(logins)
    const answer = Promise.withResolvers<Recheck>()
    bed.provider = () => answer.promise
    bed.clock += 5 * MINUTE
    await logins.verify(access)
    await bed.store.endLogins({ id: login }, new Date(bed.clock), 'left')
    answer.resolve({ kind: 'alive', upstream: 'fresh' })
    await answer.promise
    await logins.recheckLive([])
    expect((await bed.store.getLogin(login))?.upstream).toBeNull()
  })

  it.each([
    ['that is remembered', false],
    ['that is not', true],
  ])(
    'is not needed to know the end of a sign-in that something runs of, %s',
    async (_name, isNew) => {
      const logins = bed.replica()
      const { access, login } = await bed.begin(logins)
      await logins.verify(access)
      const other = isNew ? bed.replica() : logins
      expect((await other.recheckLive([login])).size).toBe(0)
      bed.clock += 12 * HOUR
      expect((await other.recheckLive([login])).get(login)).toMatchObject({ id: 1405 })
      expect(bed.asked.length).toBeLessThan(2)
    },
  )

  it('that is away keeps nobody out for a day, and everybody after it', async () => {
    const logins = bed.replica({ tokenMs: 48 * HOUR, sessionMs: 48 * HOUR })
    const { access } = await bed.begin(logins)
    bed.provider = () =>
      Promise.reject(new GatewayError('ServiceUnavailable', 'the provider is away', { id: 1420 }))
    bed.clock += 24 * HOUR
    await expect(logins.verify(access)).resolves.toMatchObject({ username: 'ana' })
    expect(bed.told).toEqual([expect.stringContaining('the provider is away')])
    bed.clock += 1
    await expect(logins.verify(access)).rejects.toMatchObject({ id: 1420 })
  })

  it('that is away is asked again after a while, not with each request', async () => {
    const logins = bed.replica()
    const { access } = await bed.begin(logins)
    bed.provider = () => Promise.reject(new Error('away'))
    bed.clock += 5 * MINUTE
    for (let n = 0; n < 10; n += 1) await logins.verify(access)
    expect(bed.asked).toHaveLength(1)
    bed.clock += 60_000
    await logins.verify(access)
    expect(bed.asked).toHaveLength(2)
  })

  it('that has changed the groups changes those of the next token, not of this one', async () => {
    const logins = bed.replica()
    const { access, refresh } = await bed.begin(logins)
    const person = { ...bed.signedIn().person, groups: ['ops'] }
    bed.provider = () => Promise.resolve({ kind: 'alive', person })
    bed.clock += 5 * MINUTE
    expect((await logins.verify(access)).groups).toEqual(['dev'])
    const next = await logins.renew(refresh)
    expect((await logins.verify(next.access)).groups).toEqual(['ops'])
  })

  it('that gave no refresh token is not asked', async () => {
    const { upstream: _none, ...rest } = bed.signedIn()
    const logins = bed.replica()
    const { access } = await logins.begin('corp', rest, CLIENT)
    bed.clock += 30 * MINUTE
    await logins.verify(access)
    expect(bed.asked).toEqual([])
  })

  it.each([
    ['gave no refresh token', 'corp', {}],
    ['cannot be asked at all, as with SAML', 'saml', { upstream: 'u' }],
  ])('that %s is not missed: its silence means nothing', async (_name, name, changes) => {
    const logins = bed.replica({ tokenMs: 72 * HOUR, sessionMs: 72 * HOUR })
    const { upstream: _none, ...rest } = bed.signedIn()
    const { access, refresh } = await logins.begin(name, { ...rest, ...changes }, CLIENT)
    bed.clock += 71 * HOUR
    await expect(logins.verify(access)).resolves.toMatchObject({ username: 'ana' })
    await expect(logins.renew(refresh)).resolves.toBeDefined()
  })

  it('that is not configured any more, or is another one of that name, has nobody signed in', async () => {
    const { access, refresh } = await bed.begin(bed.replica())
    bed.configured = (name, issuer) => name === 'corp' && issuer === 'https://another.example'
    const words = { id: 1453, message: expect.stringContaining('corp is not configured') }
    await expect(bed.replica().verify(access)).rejects.toMatchObject(words)
    await expect(bed.replica().renew(refresh)).rejects.toMatchObject(words)
    expect(bed.asked).toEqual([])
  })
})

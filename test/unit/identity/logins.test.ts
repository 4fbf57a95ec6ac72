import { beforeEach, describe, expect, it } from '@jest/globals'

import { HOUR, LoginsBed, MINUTE, refused } from './logins-bed.ts'

let bed: LoginsBed

beforeEach(() => {
  bed = new LoginsBed()
})

describe('a token', () => {
  it('says at every replica who it was issued to', async () => {
    const tokens = await bed.begin(bed.replica())
    expect(await bed.replica().verify(tokens.access)).toEqual({
      ...bed.signedIn().person,
      expiresAt: bed.clock + HOUR,
      credential: {
        kind: 'GatewayToken',
        id: expect.stringMatching(/^t-/),
        issuedAt: bed.clock,
        login: tokens.login,
      },
    })
  })

  it('of nobody is refused, and never looked for when it cannot be one', async () => {
    const logins = bed.replica()
    await expect(logins.verify(`podgate_at_${'a'.repeat(43)}`)).rejects.toEqual(refused(1451))
    bed.store.mode = 'down'
    await expect(logins.verify('podgate_at_short')).rejects.toEqual(refused(1451))
  })

  it('ends after its time, to the millisecond, also where it is remembered', async () => {
    const logins = bed.replica({ recheckMs: 100 * HOUR })
    const { access } = await bed.begin(logins)
    bed.clock += HOUR - 1
    await expect(logins.verify(access)).resolves.toMatchObject({ username: 'ana' })
    bed.clock += 1
    await expect(logins.verify(access)).rejects.toEqual(refused(1405))
  })

  it('never outlives its sign-in', async () => {
    const endsAt = bed.clock + 10 * MINUTE
    const tokens = await bed.begin(bed.replica(), { endsAt })
    expect(tokens.expiresAt).toBe(endsAt)
  })

  it('can be changed by nobody who was given its user', async () => {
    const logins = bed.replica()
    const { access } = await bed.begin(logins)
    const user = await logins.verify(access)
    user.groups.push('system:masters')
    expect((await logins.verify(access)).groups).toEqual(['dev'])
  })

  it('goes on for a minute while the store is away, and is refused when nobody can tell', async () => {
    const logins = bed.replica()
    const { access } = await bed.begin(logins)
    await logins.verify(access)
    bed.store.mode = 'down'
    bed.clock += 59_000
    await expect(logins.verify(access)).resolves.toBeDefined()
    bed.clock += 2_000
    await expect(logins.verify(access)).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
  })
})

describe('renewing', () => {
  it('gives new tokens, and takes the old refresh token away', async () => {
    const first = await bed.begin(bed.replica())
    bed.clock += MINUTE
    const second = await bed.replica().renew(first.refresh)
    expect(second).toMatchObject({ login: first.login, expiresAt: bed.clock + HOUR })
    expect(new Set([first.access, second.access, first.refresh, second.refresh]).size).toBe(4)
    await expect(bed.replica().verify(second.access)).resolves.toMatchObject({ username: 'ana' })
    const third = await bed.replica().renew(second.refresh)
    expect(third.login).toBe(first.login)
  })

  it.each([
    ['no refresh token', 'x'],
    ['an access token', `podgate_at_${'a'.repeat(43)}`],
    ['one of nobody', `podgate_rt_l-00000000000000000000.${'a'.repeat(43)}`],
  ])('is refused with %s', async (_name, text) => {
    await expect(bed.replica().renew(text)).rejects.toEqual(refused(1451))
  })

  it('is refused with another secret for a sign-in that there is', async () => {
    const { login } = await bed.begin(bed.replica())
    const forged = `podgate_rt_${login}.${'a'.repeat(43)}`
    await expect(bed.replica().renew(forged)).rejects.toEqual(refused(1451))
    expect(bed.ended).toEqual([])
  })

  it('is over when the sign-in is', async () => {
    const { refresh } = await bed.begin(bed.replica())
    bed.clock += 12 * HOUR
    await expect(bed.replica().renew(refresh)).rejects.toEqual(refused(1405))
  })

  it('with a refresh token that was used long ago ends the sign-in: somebody else has it', async () => {
    const first = await bed.begin(bed.replica())
    const second = await bed.replica().renew(first.refresh)
    bed.clock += MINUTE
    await expect(bed.replica().renew(first.refresh)).rejects.toEqual(refused(1453))
    expect(bed.ended).toEqual([[first.login, expect.stringContaining('used twice')]])
    await expect(bed.replica().renew(second.refresh)).rejects.toEqual(refused(1453))
    await expect(bed.replica().verify(second.access)).rejects.toEqual(refused(1453))
  })

  it('works so often and no more: what it leaves in the store has an end', async () => {
    const logins = bed.replica({ sessionMs: 10 * HOUR })
    let { refresh } = await bed.begin(logins)
    for (let n = 0; n < 140; n += 1) ({ refresh } = await logins.renew(refresh))
    await expect(logins.renew(refresh)).rejects.toEqual(refused(1453))
  })

  it('with one that was used a moment ago is refused and no more: its owner may have lost the answer', async () => {
    const first = await bed.begin(bed.replica())
    const second = await bed.replica().renew(first.refresh)
    bed.clock += 29_000
    await expect(bed.replica().renew(first.refresh)).rejects.toEqual(refused(1451))
    await expect(bed.replica().verify(second.access)).resolves.toBeDefined()
  })

  it('of somebody who is kept out says so, also where the sign-in has ended by that', async () => {
    const { refresh, login } = await bed.begin(bed.replica())
    await bed.store.endLogins({ id: login }, new Date(bed.clock), 'revoked')
    bed.kept.add('ana')
    await expect(bed.replica().renew(refresh)).rejects.toEqual(refused(1450))
  })

  it('at several replicas at once succeeds at one', async () => {
    const { refresh } = await bed.begin(bed.replica())
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => bed.replica().renew(refresh)),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })
})

describe('signing out', () => {
  it.each(['access', 'refresh'] as const)(
    'by the %s token ends all of the sign-in',
    async (which) => {
      const logins = bed.replica()
      const tokens = await bed.begin(logins)
      await logins.verify(tokens.access)
      expect(await bed.replica().end(tokens[which])).toBe(tokens.login)
      logins.forget()
      await expect(logins.verify(tokens.access)).rejects.toEqual(refused(1453))
      await expect(logins.renew(tokens.refresh)).rejects.toEqual(refused(1453))
    },
  )

  it('by a refresh token that another process has just used ends it as well', async () => {
    const logins = bed.replica()
    const first = await bed.begin(logins)
    const second = await logins.renew(first.refresh)
    expect(await bed.replica().end(first.refresh)).toBe(first.login)
    await expect(bed.replica().renew(second.refresh)).rejects.toEqual(refused(1453))
  })

  it('once more ends nothing, and leaves no rule: a dead token fills no list', async () => {
    const logins = bed.replica()
    const { access, refresh } = await bed.begin(logins)
    await logins.end(refresh)
    for (const token of [access, refresh, access]) {
      expect(await logins.end(token)).toBeUndefined()
    }
    expect(bed.ended).toHaveLength(1)
    const over = await bed.begin(logins)
    bed.clock += 12 * HOUR
    expect(await logins.end(over.refresh)).toBeUndefined()
    expect(bed.ended).toHaveLength(1)
  })

  it('is quiet about tokens of nobody, and does not believe a forged one', async () => {
    const logins = bed.replica()
    const { login, access } = await bed.begin(logins)
    for (const text of ['x', `podgate_rt_${login}.${'a'.repeat(43)}`]) {
      expect(await logins.end(text)).toBeUndefined()
    }
    await expect(bed.replica().verify(access)).resolves.toBeDefined()
  })
})

describe('who steals the store', () => {
  it('finds no token in it, nor what the provider gave', async () => {
    const logins = bed.replica()
    const first = await bed.begin(logins)
    const second = await logins.renew(first.refresh)
    bed.clock += 5 * MINUTE
    await logins.verify(second.access)
    const loot = bed.store.dump()
    for (const secret of [first.access, first.refresh, second.access, second.refresh]) {
      expect(loot).not.toContain(secret)
      expect(loot).not.toContain(secret.slice(-43))
    }
    expect(loot).not.toContain('upstream-secret')
    // Nothing in it opens a door: not the digests, not the names.
    for (const word of new Set(loot.match(/[\w.-]{20,}/g))) {
      for (const text of [word, `podgate_at_${word}`, `podgate_rt_${first.login}.${word}`]) {
        await expect(logins.verify(text)).rejects.toBeDefined()
        await expect(logins.renew(text)).rejects.toBeDefined()
      }
    }
  })
})

/** Tokens of service accounts (`kubectl create token`). */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { eventually } from '../../fakes/eventually.ts'
import { json, readBytes, refuse } from '../../fakes/scripted-cluster.ts'
import { prepareGround, type Ground } from './gateway-under-test.ts'
import { RoadBed, TOKEN, wordsOf } from './road-bed.ts'

let ground: Ground
let bed: RoadBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

afterEach(async () => {
  await bed.under.close()
})

describe('a token', () => {
  const TOKENS = { match: { operations: ['TokenRequest' as const], serviceAccounts: ['robot'] } }
  const WISH = { kind: 'TokenRequest', spec: { audiences: ['x'], expirationSeconds: 600 } }
  const SECRET = 'eyJ-a-very-secret-token'

  async function mint(body: unknown, type = 'application/json') {
    const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    return await bed.ask('POST', TOKEN, { 'content-type': type }, bytes)
  }

  /** The API server gives this, and keeps what it was asked. */
  function given(answer: object): { asked: string } {
    const seen = { asked: '' }
    bed.serves(/\/token$/, (request, response) => {
      void readBytes(request).then((body) => {
        seen.asked = body.toString()
        json(response, 201, answer)
      })
    })
    return seen
  }

  it('passes to the client and into no record', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    const seen = given({ kind: 'TokenRequest', status: { token: SECRET } })
    const answer = await mint(WISH)
    expect([answer.code, answer.body.toString()]).toEqual([201, expect.stringContaining(SECRET)])
    expect(JSON.parse(seen.asked)).toEqual(WISH)
    const record = await bed.sealed()
    expect(record).toMatchObject({
      operation: 'TokenRequest',
      command: ['--audience=x', '--duration=600s'],
      target: { serviceAccount: 'robot', namespace: 'shop', pod: '' },
      end: { outcome: 'Completed' },
    })
    expect(bed.identities(/\/token$/)[0]).toContain(
      `impersonate-extra-podgate.dev%2fsession: ${record._id}`,
    )
    expect(await bed.events()).toEqual([
      { type: 'request', method: 'POST', path: TOKEN, status: 201 },
    ])
    const stored = JSON.stringify([record, await bed.entries(), bed.under.log])
    expect(stored).not.toContain(SECRET)
  })

  it('is asked for as it was understood, whatever keys come twice', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    const seen = given({})
    await mint('{"spec":{"expirationSeconds":99999999},"spec":{"audiences":["x"]}}')
    expect(JSON.parse(seen.asked)).toEqual({ spec: { audiences: ['x'] } })
    expect((await bed.sealed()).command).toEqual(['--audience=x'])
  })

  it('is refused where no policy names its service account', async () => {
    bed = await RoadBed.start(ground, { match: { operations: ['Proxy' as const] } })
    const answer = await mint(WISH)
    expect([answer.code, wordsOf(answer)]).toEqual([403, expect.stringContaining('PODGATE-1002')])
    expect(bed.under.cluster.seen(/\/token$/)).toEqual([])
  })

  it.each([
    ['is too long', `"${'x'.repeat(70_000)}"`, 413],
    ['is no JSON', '{', 400],
    ['is no object', '[]', 400],
  ])('whose request %s is refused', async (_name, body, code) => {
    bed = await RoadBed.start(ground, TOKENS)
    expect((await mint(body)).code).toBe(code)
    expect(bed.under.cluster.seen(/\/token$/)).toEqual([])
  })

  it('of which nobody can say what it is asked for says so', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    given({})
    await mint('k8s\0...', 'application/vnd.kubernetes.protobuf')
    expect((await bed.sealed()).command).toEqual(['--parameters=unknown'])
  })

  it('that the API server refuses is refused in its words', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    bed.serves(/\/token$/, (_request, response) => refuse(response, 404, 'NotFound', 'no robot'))
    const answer = await mint(WISH)
    expect([answer.code, wordsOf(answer)]).toEqual([404, 'no robot'])
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed', message: 'no robot' })
  })

  it('is not given to somebody who is revoked while the record of it is being stored', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    given({ status: { token: SECRET } })
    const { store, revoking } = bed.under
    store.holding = true
    const answer = mint(WISH)
    await eventually('a frame', () => store.held.length > 0)
    const target = { kind: 'User', username: 'ana' } as const
    await revoking.revoker.revoke({ target, block: true, by: 'bo', reason: 'left' })
    store.holding = false
    for (const seq of store.held) store.answer(seq)
    const { code, body } = await answer
    expect([code, body.toString()]).toEqual([401, expect.not.stringContaining(SECRET)])
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'Refused',
      message: expect.stringContaining('your access was revoked by bo'),
    })
  })

  it('is not given where the record of it cannot be stored', async () => {
    bed = await RoadBed.start(ground, TOKENS)
    bed.serves(/\/token$/, (_request, response) => {
      bed.under.store.mode = 'refusing'
      json(response, 201, { status: { token: SECRET } })
    })
    const answer = await mint(WISH)
    expect([answer.code, answer.body.toString()]).toEqual([
      503,
      expect.not.stringContaining(SECRET),
    ])
    await eventually('the end', () => bed.under.gateway.active === 0)
  })
})

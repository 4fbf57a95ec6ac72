/** Bodies on their way to a program behind a proxy, and what becomes of them when one side leaves. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { eventually, settled } from '../../fakes/eventually.ts'
import { prepareGround, type Ground } from './gateway-under-test.ts'
import { RawClient, signedHead } from './raw-client.ts'
import { POD, RoadBed } from './road-bed.ts'

let ground: Ground
let bed: RoadBed

beforeAll(async () => {
  ground = await prepareGround()
})

afterAll(async () => {
  await ground.people.close()
})

const PROXY = /\/proxy/
const MIB = 1024 * 1024

describe.each(['Digest', 'Full'] as const)('an upload (%s)', (content) => {
  beforeEach(async () => {
    bed = await RoadBed.start(ground, { match: { operations: ['Proxy'] }, recording: { content } })
  })

  afterEach(async () => {
    await bed.under.close()
  })

  it('that is answered early gets its answer, and the next request on the connection too', async () => {
    bed.serves(PROXY, (_request, response) => void response.writeHead(413).end('enough'))
    const client = await RawClient.open(bed.under)
    const post = `POST ${POD}/`
    client.send(signedHead(bed.under, 'ana', post, `Content-Length: ${2 * MIB}`), Buffer.alloc(MIB))
    const first = await client.response()
    expect([first.code, first.body.toString()]).toEqual([413, 'enough'])
    client.send(Buffer.alloc(MIB), signedHead(bed.under, 'ana', `GET ${POD}/`))
    expect((await client.response(1)).code).toBe(413)
    client.socket.destroy()
  })

  it('that its client leaves ends upstream, and the record says so', async () => {
    const seen = Promise.withResolvers<void>()
    let isCut = false
    bed.serves(PROXY, (request) => {
      request.once('data', () => seen.resolve())
      request.on('close', () => (isCut = true))
    })
    const client = await RawClient.open(bed.under)
    const post = `POST ${POD}/`
    client.send(signedHead(bed.under, 'ana', post, 'Content-Length: 1000'), Buffer.alloc(10))
    await seen.promise
    client.socket.destroy()
    await eventually('the end upstream', () => isCut)
    expect((await bed.sealed()).end).toMatchObject({
      outcome: 'ClientLost',
      bytes: { stdin: 10, stdout: 0 },
    })
  })

  it('of 64 MB waits while the program does not read', async () => {
    bed.serves(PROXY, () => undefined)
    const client = await RawClient.open(bed.under)
    const size = 64 * MIB
    const post = `POST ${POD}/`
    client.send(signedHead(bed.under, 'ana', post, `Content-Length: ${size}`))
    for (let n = 0; n < 64; n += 1) client.send(Buffer.alloc(MIB))
    const sent = await settled(() => client.socket.bytesWritten - client.socket.writableLength)
    // Ours is one mebibyte; the sockets of the test have buffers of their own.
    expect(sent).toBeLessThan(24 * MIB)
    client.socket.destroy()
  })

  it('ends with its time, and what the program has got stays on record', async () => {
    bed.serves(PROXY, (request) => void request.resume())
    const client = await RawClient.open(bed.under)
    const post = `POST ${POD}/`
    client.send(signedHead(bed.under, 'ana', post, 'Content-Length: 1000'), Buffer.alloc(10))
    await eventually('the request', () => bed.under.cluster.seen(PROXY).length === 1)
    bed.under.shutDown()
    expect((await client.response()).code).toBe(503)
    expect((await bed.sealed()).end).toMatchObject({ outcome: 'Failed', bytes: { stdin: 10 } })
    client.socket.destroy()
  })
})

/** Which wire the dialler tries first, and what it remembers. */
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { FORBIDDEN, NOT_FOUND, createDialBenches, status } from '../../fakes/dial-bench.ts'
import { answer, createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'

let pki: TestPki
const benches = createDialBenches(() => pki)
const { start } = benches

beforeAll(async () => {
  pki = await createTestPki()
})

afterEach(async () => {
  await benches.close()
})

describe('with SPDY first', () => {
  it('WebSocket is not tried when SPDY is accepted', async () => {
    const { dial, wires } = await start({ websocket: 'accept', spdy: 'accept' }, 'SPDY')
    expect((await dial()).protocol).toContain('SPDY')
    expect(wires()).toEqual(['spdy'])
  })

  it('WebSocket is taken, and remembered, when SPDY is refused', async () => {
    const spdy = answer(400, status(400, 'BadRequest', 'no SPDY any more'))
    const { dial, wires } = await start({ websocket: 'accept', spdy }, 'SPDY')
    expect((await dial()).protocol).toContain('WebSocket')
    await dial()
    expect(wires()).toEqual(['spdy', 'websocket', 'websocket'])
  })

  it("both refusing, SPDY's words count, because it needs the fewer rights", async () => {
    const { dial } = await start(
      { websocket: FORBIDDEN, spdy: answer(403, status(403, 'Forbidden', 'cannot create')) },
      'SPDY',
    )
    await expect(dial()).rejects.toThrow('cannot create')
  })
})

describe('SPDY alone', () => {
  it('is remembered for five minutes after it took what WebSocket refused', async () => {
    const { dial, wires, advance } = await start({ websocket: FORBIDDEN, spdy: 'accept' })
    await dial()
    advance(5 * 60_000 - 1)
    await dial()
    advance(1)
    await dial()
    expect(wires()).toEqual(['websocket', 'spdy', 'spdy', 'websocket', 'spdy'])
  })

  it('is not remembered when both refuse', async () => {
    const { dial, wires } = await start({ websocket: NOT_FOUND, spdy: NOT_FOUND })
    await expect(dial()).rejects.toThrow('not found')
    await expect(dial()).rejects.toThrow('not found')
    expect(wires()).toEqual(['websocket', 'spdy', 'websocket', 'spdy'])
  })

  it('refuses in its own words while it is remembered', async () => {
    const { server, dial, wires } = await start({ websocket: FORBIDDEN, spdy: 'accept' })
    await dial()
    server.script.spdy = NOT_FOUND
    await expect(dial()).rejects.toMatchObject({ httpCode: 404 })
    expect(wires()).toEqual(['websocket', 'spdy', 'spdy'])
  })
})

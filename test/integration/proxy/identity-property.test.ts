/**
 * I4 for any headers: what the API server hears about who somebody is is what follows from the
 * verified token, or it hears nothing. PODGATE_HEADER_MAPS=<number> sends more or fewer than 100,000.
 */
import { afterAll, beforeAll, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  policy,
  prepareGround,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { Counterexample, HeaderMapRunner } from './header-map-runner.ts'
import { HEADER_MAP, ROADS, type HeaderMap } from './header-maps.ts'

const MAPS = Number(process.env['PODGATE_HEADER_MAPS'] ?? 100_000)
const BATCH = 250
/** For every road to be gone once at least. */
const ENOUGH = 10_000
const MINUTES = 20

let ground: Ground
let under: GatewayUnderTest
let runner: HeaderMapRunner

beforeAll(async () => {
  ground = await prepareGround()
  const everybody = [
    { kind: 'Group' as const, name: 'dev' },
    { kind: 'Group' as const, name: 'oncall' },
  ]
  const operations = ['Exec', 'Attach', 'PortForward', 'Logs'] as const
  under = await startGatewayUnderTest(ground, [
    policy('sessions', { subjects: everybody, match: { operations: [...operations] } }),
    policy('pods', { subjects: everybody, match: { operations: ['Proxy'] } }),
    policy('services', { subjects: everybody, match: { operations: ['Proxy'], services: ['*'] } }),
  ])
  runner = await HeaderMapRunner.start(under)
})

afterAll(async () => {
  runner.close()
  await under.close()
  await ground.people.close()
})

async function faultOf(map: HeaderMap): Promise<Counterexample | undefined> {
  try {
    await runner.run([map])
  } catch (error) {
    // What else went wrong is a trace of the first fault.
    if (error instanceof Counterexample) return error
  }
  return undefined
}

/** The same fault with fewer lines. */
async function smallest(found: Counterexample): Promise<Counterexample> {
  for (let n = 0; n < found.map.lines.length; n += 1) {
    const lines = found.map.lines.toSpliced(n, 1)
    const smaller = await faultOf({ ...found.map, lines })
    if (smaller !== undefined) return await smallest(smaller)
  }
  return found
}

it(
  `whatever headers a client sends, upstream hears of the computed identity or of nothing: ${MAPS} times`,
  async () => {
    let count = 0
    const report = await fc.check(
      fc.asyncProperty(
        fc.array(HEADER_MAP, { minLength: BATCH, maxLength: BATCH, size: 'max' }),
        async (maps) => {
          await runner.run(maps)
          count += maps.length
        },
      ),
      { numRuns: Math.ceil(MAPS / BATCH), endOnFailure: true },
    )
    if (report.failed) {
      runner.patienceMs = 2_000
      const { errorInstance: error, seed } = report
      const shown = error instanceof Counterexample ? await smallest(error) : error
      throw new Error(`after ${count} maps, PODGATE_FUZZ_SEED=${seed}: ${String(shown)}`)
    }
    const { passed, refused, cut, roads } = runner.outcomes
    expect(passed + refused + cut).toBe(count)
    // Neither of the two became all there is, and nothing was proved of a road that nobody went.
    expect(passed).toBeGreaterThan(count / 3)
    expect(refused).toBeGreaterThan(count / 10)
    if (MAPS >= ENOUGH) expect(roads).toEqual(new Set(ROADS.filter((road) => !road.isClosed)))
  },
  MINUTES * 60_000,
)

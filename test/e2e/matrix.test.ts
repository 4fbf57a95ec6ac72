/**
 * Every version of kubectl, every verb, every wire: what a person gets through the gateway is what
 * the API server gives directly, in bytes, exit codes and words.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import {
  type Matrix,
  openMatrix,
  type Row,
  VERSIONS,
  type Version,
  type Wire,
} from './support/matrix-legs.ts'
import { boxName, openMatrixNamespace } from './support/matrix-pods.ts'
import { COPY_ROWS } from './support/matrix-rows-copy.ts'
import { DEBUG_ROWS } from './support/matrix-rows-debug.ts'
import { COMMAND_ROWS } from './support/matrix-rows-exec.ts'
import { FORWARD_ROWS } from './support/matrix-rows-forward.ts'
import { LOG_ROWS } from './support/matrix-rows-logs.ts'
import { COLD_START_MS, openShop, type Shop } from './support/shop.ts'

const OPERATIONS = ['Exec', 'Attach', 'Copy', 'Logs', 'Debug', 'PortForward']
const WIRES: readonly Wire[] = ['SPDY', 'WebSocket']

/** As session records name them. debug and run change a pod first, by a plain request. */
const COMMAND_WIRE: Record<Wire, RegExp> = {
  SPDY: /^(?:spdy v4\.channel\.k8s\.io|HTTP (?:PATCH|PUT|POST))$/,
  WebSocket: /^(?:websocket v5\.channel\.k8s\.io|HTTP (?:PATCH|PUT|POST))$/,
}

const FORWARD_WIRE: Record<Wire, RegExp> = {
  SPDY: /^spdy portforward\.k8s\.io$/,
  WebSocket: /^tunnel SPDY\/3\.1\+portforward\.k8s\.io$/,
}

let shop: Shop
let matrix: Matrix

beforeAll(async () => {
  shop = await openShop()
  matrix = await openMatrix(shop)
  const names = VERSIONS.map((each) => each.version)
  await openMatrixNamespace(shop, names, OPERATIONS)
}, COLD_START_MS)

afterAll(async () => {
  await matrix.close()
  await shop.close()
}, 60_000)

function matches(text: unknown, wanted: string | RegExp | number | null | undefined): boolean {
  if (wanted instanceof RegExp) return wanted.test(String(text))
  return wanted === undefined || text === wanted
}

async function expectSame(
  row: Row,
  wire: Wire,
  versions: readonly Version[],
  recorded: RegExp,
): Promise<void> {
  const { direct, gateway, wires } = await matrix.compare(row, wire, versions)
  expect(gateway).toEqual(direct)
  const strange = Object.values(direct).filter(
    (outcome) =>
      !(['code', 'stdout', 'stderr'] as const).every((key) =>
        matches(outcome[key], row.direct[key]),
      ) || !matches(JSON.stringify(outcome.more), row.direct.more),
  )
  expect(strange).toEqual([])
  const used = [...new Set(Object.values(wires).flat())]
  expect(used.filter((each) => row.hasSession === false || !recorded.test(each))).toEqual([])
}

/** The rows of one wire, each with the versions that have it. */
function rowsOver(
  rows: readonly Row[],
  has: (each: Version) => boolean,
  wire: Wire,
): [string, Row, readonly Version[]][] {
  return rows
    .filter((row) => row.wire === undefined || row.wire === wire)
    .map((row): [string, Row, readonly Version[]] => {
      const versions = VERSIONS.filter(
        (each) => has(each) && (row.versions?.includes(each.version) ?? true),
      )
      return [row.name, row, versions]
    })
    .filter(([, , versions]) => versions.length > 0)
}

it.each(VERSIONS.map((each) => [each.version, each] as const))(
  'kubectl %s signs in by the credential plugin',
  async (_version, each) => {
    const stdout = `pod/${boxName(each.version)}\n`
    expect(await matrix.signIn(each)).toEqual({ code: 0, stdout, stderr: '' })
  },
)

describe.each(WIRES)('over %s', (wire) => {
  const commands = [...COMMAND_ROWS, ...COPY_ROWS, ...DEBUG_ROWS]
  const has = (each: Version): boolean => each.commandWires.includes(wire)
  it.each(rowsOver(commands, has, wire))('%s', async (_name, row, versions) => {
    await expectSame(row, wire, versions, COMMAND_WIRE[wire])
  })

  const hasForward = (each: Version): boolean => each.portForwardWires.includes(wire)
  it.each(rowsOver(FORWARD_ROWS, hasForward, wire))('%s', async (_name, row, versions) => {
    await expectSame(row, wire, versions, FORWARD_WIRE[wire])
  })
})

describe('over plain HTTP', () => {
  it.each(rowsOver(LOG_ROWS, () => true, 'SPDY'))('%s', async (_name, row, versions) => {
    await expectSame(row, 'SPDY', versions, /^http$/i)
  })
})

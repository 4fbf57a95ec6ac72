/** Single bytes there and back, and how long it takes to get in. */
import type { Bed } from './bed.ts'
import { openExec, timeExec } from './exec-socket.ts'
import { atMost, type Findings, Notebook } from './measurement.ts'
import { median } from './statistics.ts'

/** A letter may be the start of something to mask; a line break never is. */
const KEYS = [
  { what: "echo of 'x'", bytes: Uint8Array.of(0x78) },
  { what: 'echo of a line break', bytes: Uint8Array.of(0x0a) },
] as const

const WARM_UP = 10

function aboveDirect(notes: Notebook, what: string): number {
  return median(notes.of('gateway', what, 'ms')) - median(notes.of('direct', what, 'ms'))
}

/** All three sessions at once, one key each in turn: nobody gets the better minute. */
export async function measureEcho(bed: Bed, roundTrips: number): Promise<Findings> {
  const notes = new Notebook('echo')
  const lanes = []
  for (const route of bed.routes.all) lanes.push({ route, ...(await openExec(route, ['cat'])) })
  for (const { what, bytes } of KEYS) {
    for (let trip = -WARM_UP; trip < roundTrips; trip += 1) {
      for (const { route, socket } of lanes) {
        const begin = performance.now()
        await socket.roundTrip(bytes)
        if (trip >= 0) notes.of(route.name, what, 'ms').push(performance.now() - begin)
      }
    }
  }
  for (const { socket } of lanes) await socket.close()
  const bars = KEYS.map(({ what }) =>
    atMost(`${what}, p50 above direct`, aboveDirect(notes, what), 3),
  )
  return { series: notes.series, bars }
}

const UPGRADED = 'request to 101'
const ENDED = 'request to status'

export async function measureOpen(bed: Bed, times: number): Promise<Findings> {
  const notes = new Notebook('open')
  for (let turn = -3; turn < times; turn += 1) {
    for (const route of bed.routes.all) {
      const { upgradeMs, statusMs } = await timeExec(route, ['true'])
      if (turn < 0) continue
      notes.of(route.name, UPGRADED, 'ms').push(upgradeMs)
      notes.of(route.name, ENDED, 'ms').push(statusMs)
    }
  }
  const bars = [
    atMost('open to 101, p50 above direct', aboveDirect(notes, UPGRADED), 20),
    atMost('open to status, p50 above direct', aboveDirect(notes, ENDED), 20),
  ]
  return { series: notes.series, bars }
}

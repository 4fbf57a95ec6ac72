/** What a session costs the gateway while nothing happens in it. */
import { setTimeout as delay } from 'node:timers/promises'

import type { Bed } from './bed.ts'
import { type ExecSocket, openExec } from './exec-socket.ts'
import { type Findings, Notebook } from './measurement.ts'
import { residentBytes } from './process-usage.ts'

const MIB = 1024 * 1024
/** More at a time would measure how the node starts processes. */
const AT_ONCE = 8
/** A freshly started gateway still takes and gives back memory for a moment. */
const SETTLE_MS = 5000

/** Its own gateway, started anew: what earlier parts left behind is not counted. */
export async function measureMemory(bed: Bed, sessions: number): Promise<Findings> {
  const notes = new Notebook('memory')
  await bed.sandbox.gateway.restart()
  const pid = bed.gatewayPid()
  const { gateway } = bed.routes
  const open: ExecSocket[] = []
  try {
    // The first session loads what all of them need.
    open.push((await openExec(gateway, ['cat'])).socket)
    await open.pop()?.close()
    await delay(SETTLE_MS)
    const idle = residentBytes(pid)
    while (open.length < sessions) {
      const batch = Array.from({ length: Math.min(AT_ONCE, sessions - open.length) }, async () => {
        const { socket } = await openExec(gateway, ['cat'])
        return socket
      })
      open.push(...(await Promise.all(batch)))
    }
    await delay(SETTLE_MS)
    const busy = residentBytes(pid)
    notes.of('gateway', 'RSS without a session', 'MiB').push(idle / MIB)
    notes.of('gateway', `RSS with ${sessions} idle sessions`, 'MiB').push(busy / MIB)
    notes.of('gateway', 'a session', 'KiB').push((busy - idle) / 1024 / sessions)
  } finally {
    await Promise.all(open.map(async (socket) => await socket.close()))
  }
  return { series: notes.series, bars: [] }
}

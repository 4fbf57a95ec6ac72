/** CPU profiles of the running gateway, by the inspector that Node opens on SIGUSR1. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { WebSocket } from 'ws'

/** Node's own; the gateway must be the only process that listens there. */
const INSPECTOR = 'http://127.0.0.1:9229/json/list'
const SAMPLING_MICROSECONDS = 500

export interface Profiler {
  /** Writes DIR/name.cpuprofile, for the performance tab of Chromium's tools. */
  around<T>(name: string, run: () => Promise<T>): Promise<T>
  close(): void
}

async function inspectorUrl(): Promise<string> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const targets = (await (await fetch(INSPECTOR)).json()) as { webSocketDebuggerUrl: string }[]
      const url = targets[0]?.webSocketDebuggerUrl
      if (url !== undefined) return url
    } catch (error) {
      if (attempt === 50) throw error
    }
    await delay(100)
  }
}

export async function openProfiler(pid: number, dir: string): Promise<Profiler> {
  await mkdir(dir, { recursive: true })
  process.kill(pid, 'SIGUSR1')
  const ws = new WebSocket(await inspectorUrl(), { perMessageDeflate: false })
  await new Promise<void>((resolve, reject) => {
    ws.once('open', () => resolve())
    ws.once('error', reject)
  })
  const waiting = new Map<number, (result: unknown) => void>()
  let id = 0
  ws.on('message', (data: Buffer) => {
    const answer = JSON.parse(data.toString()) as { id?: number; result?: unknown }
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer.result)
  })
  const call = async (method: string, params: object = {}): Promise<unknown> => {
    id += 1
    const mine = id
    return await new Promise((resolve) => {
      waiting.set(mine, resolve)
      ws.send(JSON.stringify({ id: mine, method, params }))
    })
  }
  await call('Profiler.enable')
  await call('Profiler.setSamplingInterval', { interval: SAMPLING_MICROSECONDS })
  return {
    async around(name, run) {
      await call('Profiler.start')
      try {
        return await run()
      } finally {
        const { profile } = (await call('Profiler.stop')) as { profile: unknown }
        await writeFile(join(dir, `${name}.cpuprofile`), JSON.stringify(profile))
      }
    },
    close: () => ws.terminate(),
  }
}

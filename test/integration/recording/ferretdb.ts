/**
 * A MongoDB-wire server of one test file, to be stopped, frozen and killed at will.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { buildGoModule } from '../../../lib/cluster/build.ts'
import { FERRETDB } from '../../../lib/cluster/go-programs.ts'

export interface FerretDb {
  uri: string
  start(): Promise<void>
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  freeze(): void
  thaw(): void
  close(): Promise<void>
}

export async function startFerretDb(): Promise<FerretDb> {
  const command = join(await buildGoModule(FERRETDB), 'ferretdb')
  const data = mkdtempSync(join(tmpdir(), 'podgate-recording-'))
  const port = await freePort()
  let child: ChildProcess | undefined

  function lives(): boolean {
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  async function start(): Promise<void> {
    if (lives()) return
    child = spawn(command, [`--listen=127.0.0.1:${port}`, `--data=${data}`], { stdio: 'ignore' })
    const deadline = Date.now() + 20_000
    while (!(await accepts(port))) {
      if (Date.now() > deadline || !lives()) throw new Error('FerretDB did not start')
    }
  }

  async function kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const victim = child
    if (victim === undefined || !lives()) return
    const gone = new Promise<void>((resolve) => {
      victim.once('exit', () => resolve())
    })
    victim.kill(signal)
    await gone
  }

  process.once('exit', () => child?.kill('SIGKILL'))
  await start()
  return {
    uri: `mongodb://127.0.0.1:${port}/`,
    start,
    kill,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    async close() {
      await kill('SIGKILL')
      rmSync(data, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  return await new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => setTimeout(() => resolve(false), 50))
  })
}

/** moby/spdystream at the other end of a leg: as a client that is served once, or as a server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { buildGoModule } from '../../../lib/cluster/build.ts'
import { SPDYSTREAM } from '../../../lib/cluster/go-programs.ts'

export const BUILD_MS = 120_000

export async function buildSpdystream(): Promise<string> {
  return join(await buildGoModule(SPDYSTREAM), 'spdystream')
}

export interface ClientRun {
  socket: Socket
  lines: string[]
  /** Its exit code. */
  ended: Promise<number | null>
  close(): void
}

/** Runs `program ARGS ADDRESS MORE` and takes its connection. */
export async function acceptClient(
  program: string,
  what: string,
  ...more: string[]
): Promise<ClientRun> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const child = spawn(program, [what, `127.0.0.1:${port}`, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const [socket] = await accepted
  return { socket, lines, ended, close: () => void listener.close() }
}

export interface RunningServer {
  connect(): Promise<Socket>
  close(): Promise<void>
}

export async function startServer(program: string, what: string): Promise<RunningServer> {
  const child = spawn(program, [what], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const [address] = (await once(createInterface(child.stdout), 'line')) as [string]
  const port = Number(address.split(':')[1])
  return {
    async connect() {
      const socket = connect({ port, host: '127.0.0.1' })
      await once(socket, 'connect')
      return socket
    },
    async close() {
      child.stdin.end()
      await ended
    },
  }
}

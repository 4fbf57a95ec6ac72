/** The API server's own reading of a request, by the Go program of test/cluster/requestinfo. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

import { buildGoModule } from '../../lib/cluster/build.ts'
import { REQUEST_INFO } from '../../lib/cluster/go-programs.ts'

/** k8s.io/apiserver pkg/endpoints/request RequestInfo. */
export interface ServerReading {
  /** Set when the request is refused before anything serves it. */
  error?: string
  path: string
  isResourceRequest: boolean
  verb: string
  apiPrefix: string
  apiGroup: string
  apiVersion: string
  namespace: string
  resource: string
  /** One segment; what follows it is in `parts` only. */
  subresource: string
  name: string
  /** From the resource on. */
  parts: string[] | null
}

export interface Oracle {
  ask(method: string, target: string): Promise<ServerReading>
  close(): Promise<void>
}

export async function openOracle(): Promise<Oracle> {
  const folder = await buildGoModule(REQUEST_INFO)
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(join(folder, 'requestinfo'), {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const waiting: { resolve(reading: ServerReading): void; reject(error: Error): void }[] = []
  const fail = (error: Error): void => {
    for (const { reject } of waiting.splice(0)) reject(error)
  }
  child.on('error', fail)
  child.stdin.on('error', fail)
  const exited = once(child, 'exit').then(() => fail(new Error('the oracle has ended')))
  createInterface(child.stdout).on('line', (line) =>
    waiting.shift()?.resolve(JSON.parse(line) as ServerReading),
  )
  return {
    ask(method, target) {
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject })
        child.stdin.write(`${JSON.stringify({ method, target })}\n`)
      })
    },
    async close() {
      child.stdin.end()
      await exited
    },
  }
}

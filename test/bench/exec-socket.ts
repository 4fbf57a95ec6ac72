/**
 * A light client of exec over WebSocket: kubectl takes some 50 ms to start, which would hide what
 * is measured here. A new connection each time, as kubectl makes one.
 */
import { WebSocket, type ClientOptions, type RawData } from 'ws'

import { CHANNEL_ID } from '../../lib/streams/channel.ts'
import { NAMESPACE, POD } from './manifests.ts'
import type { Route } from './routes.ts'

export interface ExecSocket {
  /** Waits for the next bytes of stdout after having sent these to stdin. */
  roundTrip(bytes: Uint8Array): Promise<void>
  /** Ends without ceremony. */
  close(): Promise<void>
}

interface OpenedExec {
  socket: ExecSocket
  /** From the request to the 101. */
  upgradeMs: number
}

export interface ExecTimes {
  upgradeMs: number
  /** From the request to the command's status, which comes last. */
  statusMs: number
}

function execUrl(route: Route, command: readonly string[], stdin: boolean): string {
  const query = new URLSearchParams({ container: 'main', stdout: 'true' })
  if (stdin) query.set('stdin', 'true')
  for (const word of command) query.append('command', word)
  const base = route.url.replace(/^http/u, 'ws')
  return `${base}/api/v1/namespaces/${NAMESPACE}/pods/${POD}/exec?${query.toString()}`
}

function dial(route: Route, command: readonly string[], stdin: boolean): WebSocket {
  const options: ClientOptions = {
    headers: route.headers,
    perMessageDeflate: false,
    handshakeTimeout: 30_000,
    ...route.tls,
  }
  return new WebSocket(execUrl(route, command, stdin), ['v5.channel.k8s.io'], options)
}

function bytesOf(data: RawData): Uint8Array {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : new Uint8Array(data)
}

function refused(route: Route, reject: (error: Error) => void, ws: WebSocket): void {
  ws.on('error', (error) => reject(new Error(`${route.name}: ${error.message}`)))
  ws.on('unexpected-response', (_request, response) => {
    let body = ''
    response.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    response.on('end', () =>
      reject(new Error(`${route.name}: HTTP ${response.statusCode ?? 0} ${body}`)),
    )
  })
}

/** Runs a command that says nothing; the status on the error channel ends it. */
export function timeExec(route: Route, command: readonly string[]): Promise<ExecTimes> {
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    const ws = dial(route, command, false)
    let upgradeMs = 0
    let statusMs = 0
    refused(route, reject, ws)
    ws.on('upgrade', () => {
      upgradeMs = performance.now() - begin
    })
    ws.on('message', (data: RawData) => {
      const message = bytesOf(data)
      if (message[0] === CHANNEL_ID.error && message.length > 1) {
        statusMs = performance.now() - begin
        ws.close(1000)
      }
    })
    ws.on('close', (code) => {
      if (statusMs > 0) resolve({ upgradeMs, statusMs })
      else reject(new Error(`${route.name}: closed with code ${code} before the status`))
    })
  })
}

export function openExec(route: Route, command: readonly string[]): Promise<OpenedExec> {
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    const ws = dial(route, command, true)
    let fail = reject
    let answered: (() => void) | undefined
    const closed = new Promise<void>((done) => {
      ws.on('close', (code) => {
        fail(new Error(`${route.name}: the session closed with code ${code}`))
        done()
      })
    })
    refused(route, (error) => fail(error), ws)
    ws.on('message', (data: RawData) => {
      const message = bytesOf(data)
      if (message[0] === CHANNEL_ID.stdout && message.length > 1) answered?.()
    })
    ws.on('open', () => {
      const upgradeMs = performance.now() - begin
      const socket: ExecSocket = {
        async roundTrip(bytes) {
          const answer = new Promise<void>((done, lost) => {
            answered = done
            fail = lost
          })
          const message = new Uint8Array(bytes.length + 1)
          message[0] = CHANNEL_ID.stdin
          message.set(bytes, 1)
          ws.send(message, { binary: true })
          await answer
        },
        async close() {
          fail = () => undefined
          ws.terminate()
          await closed
        },
      }
      resolve({ socket, upgradeMs })
    })
  })
}

/** kubectl port-forward to the web server in the pod. */
import { createHash } from 'node:crypto'
import { type ClientRequest, request } from 'node:http'
import { connect } from 'node:net'

import { closed } from '../../fakes/closed.ts'
import type { Leg, Outcome, Row } from './matrix-legs.ts'
import { line, outcomeOf } from './matrix-rows-exec.ts'

const FORWARDING = /Forwarding from 127\.0\.0\.1:(\d+) -> \d+/

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The body of the answer, on a connection of its own; or the code of the error. */
async function ask(port: number, path: string, body?: Buffer): Promise<Buffer | string> {
  return await new Promise((resolve) => {
    const method = body === undefined ? 'GET' : 'POST'
    const asking: ClientRequest = request({ port, host: '127.0.0.1', path, method, agent: false })
    asking.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    asking.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', (error) => resolve(error.message))
      response.on('end', () => resolve(Buffer.concat(parts)))
    })
    asking.end(body)
  })
}

/**
 * Connects and waits for the end, without a word: kubectl tells of bytes that it could not pass on
 * because the forwarding ended first, or does not, as the two goroutines happen to run.
 */
async function waitForEnd(port: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  await closed(socket.resume())
}

async function upload(port: number, size: number): Promise<string> {
  const body = Buffer.alloc(size, 'podgate\0\xfe', 'latin1')
  const answer = String(await ask(port, '/cgi-bin/digest', body))
  return answer === `${digestOf(body)}  -\n` ? 'whole' : answer
}

async function download(port: number): Promise<string> {
  const answer = await ask(port, '/program')
  return typeof answer === 'string' ? answer : digestOf(answer)
}

/** Forwards, does the work once it stands, and ends it with Ctrl-C, or waits for its own end. */
async function forward(
  leg: Leg,
  port: string,
  work: (port: number) => Promise<unknown>,
  ends: 'by Ctrl-C' | 'by itself' = 'by Ctrl-C',
): Promise<Outcome> {
  let working: Promise<unknown> | undefined
  const args = ['port-forward', '--address=127.0.0.1', `pod/${leg.pod}`, port]
  const result = await leg.kubectl(args, {
    onOutput(text, child) {
      const open = FORWARDING.exec(text)?.[1]
      if (open === undefined) return
      working ??= work(Number(open)).finally(() => {
        if (ends === 'by Ctrl-C') child.kill('SIGINT')
      })
    },
  })
  const more = await working
  const plain = (text: string): string =>
    text
      .replaceAll(/(127\.0\.0\.1|\[::1\]):\d+/g, '$1:PORT')
      .replaceAll(/(connection for|forwarding) \d+/g, '$1 PORT')
  // Where nobody listens, the kubelet names the pod's sandbox and a port of its own choosing.
  const words = plain(result.stderr).replaceAll(/\b[0-9a-f]{64}\b/g, 'SANDBOX')
  return { ...outcomeOf(result), stdout: plain(result.stdout), stderr: words, more }
}

export const FORWARD_ROWS: readonly Row[] = [
  {
    name: 'port-forward of connections one after the other',
    run: async (leg) =>
      await forward(leg, ':9000', async (port) => [
        await upload(port, 1),
        await download(port),
        await upload(port, 300_000),
      ]),
    direct: { code: 0, stderr: '', more: /^\["whole","[0-9a-f]{64}","whole"]$/ },
  },
  {
    name: 'port-forward of connections at the same time',
    run: async (leg) =>
      await forward(leg, ':9000', async (port) => {
        const sizes = [1, 10_000, 100_000, 200_000]
        return await Promise.all([download(port), ...sizes.map((size) => upload(port, size))])
      }),
    direct: { code: 0, stderr: '', more: /^\["[0-9a-f]{64}"(?:,"whole"){4}]$/ },
  },
  {
    name: 'port-forward to a port where nobody listens',
    run: async (leg) => await forward(leg, ':9999', waitForEnd, 'by itself'),
    direct: { code: 1, stderr: /an error occurred forwarding[^]*lost connection to pod/ },
    // 1.20 goes on.
    versions: ['1.27', '1.29', '1.31', '1.34', '1.35'],
  },
  {
    name: 'port-forward to a pod that is not there',
    run: line(['port-forward', 'pod/nobody-0', ':9000']),
    direct: { code: 1, stderr: /pods "nobody-0" not found/ },
    hasSession: false,
  },
  {
    name: 'port-forward to a pod that has ended',
    run: line(['port-forward', 'pod/ended-0', ':9000']),
    direct: { code: 1, stderr: /not running/ },
    hasSession: false,
  },
]

/** Clients other than kubectl: what they get through the gateway is what the API server gives them. */
import { createHash } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { run } from './support/kubectl.ts'
import { boxName, MATRIX_NAMESPACE, openMatrixNamespace } from './support/matrix-pods.ts'
import {
  attach,
  copyBothWays,
  execute,
  followLog,
  forward,
  type Target,
} from './support/node-client.ts'
import { type PythonClient, pythonClient } from './support/python-client.ts'
import { COLD_START_MS, openShop, type Shop } from './support/shop.ts'

/** Offered by itself: the gateway has to take it. */
const V4 = 'websocket v4.channel.k8s.io'
const OPERATIONS = ['Exec', 'Attach', 'Copy', 'Logs', 'PortForward']

let shop: Shop
let python: PythonClient

beforeAll(async () => {
  shop = await openShop()
  python = await pythonClient()
  await openMatrixNamespace(shop, ['node', 'python'], OPERATIONS)
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

function targets(client: string): { direct: Target; gateway: Target } {
  const { admin, users } = shop.sandbox.json
  const pod = { namespace: MATRIX_NAMESPACE, pod: boxName(client) }
  return {
    direct: { ...pod, kubeconfig: admin.kubeconfig },
    gateway: { ...pod, kubeconfig: users.ana.kubeconfig },
  }
}

/** The wires of all sessions since then, in the words of their records. */
async function wiresSince(since: Date): Promise<(string | undefined)[]> {
  const sessions = await shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
    .find({ startedAt: { $gte: since }, 'target.namespace': MATRIX_NAMESPACE })
    .toArray()
  return sessions.map(({ protocol }) => protocol.client)
}

describe('@kubernetes/client-node', () => {
  const body = 'x'.repeat(100_000)
  const digest = createHash('sha256').update(body).digest('hex')
  const post = `POST /cgi-bin/digest HTTP/1.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  it.each<[string, (target: Target) => Promise<object>, object, string]>([
    [
      'exec shows both streams',
      async (target) => await execute(target, 'echo out; echo err >&2'),
      { stdout: 'out\n', stderr: 'err\n', status: { status: 'Success' } },
      'websocket v5.channel.k8s.io',
    ],
    [
      'exec with input, to the end of it, and an exit code',
      async (target) => await execute(target, 'cat; exit 3', 'one\ntwo'),
      { stdout: 'one\ntwo', status: { status: 'Failure', reason: 'NonZeroExitCode' } },
      'websocket v5.channel.k8s.io',
    ],
    [
      'exec of a program that is not there',
      async (target) => await execute(target, 'nothing-of-that-name'),
      { stderr: 'sh: nothing-of-that-name: not found\n' },
      'websocket v5.channel.k8s.io',
    ],
    [
      'attach to a process that answers',
      async (target) => ({ stdout: await attach(target) }),
      { stdout: 'you said: hello\n' },
      'websocket v5.channel.k8s.io',
    ],
    [
      'log with follow',
      async (target) => ({ log: await followLog(target, 'ended-0') }),
      { log: [1, 2, 3, 4, 5].map((number) => `line ${number}: grüße\n`).join('') },
      'http',
    ],
    [
      'cp into the pod and out again',
      copyBothWays,
      { isSame: true },
      'websocket v5.channel.k8s.io',
    ],
    [
      'port-forward',
      async (target) => ({ answer: await forward(target, 9000, post) }),
      { answer: expect.stringContaining(`${digest}  -\n`) },
      'channels v4.channel.k8s.io',
    ],
  ])('%s', async (_name, task, wanted, wire) => {
    const { direct, gateway } = targets('node')
    const expected = await task(direct)
    const since = new Date()
    expect(await task(gateway)).toEqual(expected)
    expect(expected).toMatchObject(wanted)
    expect([...new Set(await wiresSince(since))]).toEqual([expect.stringContaining(wire)])
  })
})

describe('the Python client', () => {
  async function ask(target: Target, task: string): Promise<unknown> {
    const args = [python.script, target.kubeconfig, target.namespace, target.pod, task]
    const { code, stdout, stderr } = await run(python.program, args, { env: python.env })
    if (code !== 0) throw new Error(stderr)
    return JSON.parse(stdout) as unknown
  }

  it.each([
    ['exec_output', { stdout: 'out\n', stderr: 'err\n', code: 0 }, V4],
    ['exec_input', { stdout: 'two one\n', stderr: '', code: 3 }, V4],
    ['exec_much', { bytes: 1_288_895, code: 0 }, V4],
    ['attach', { line: 'you said: hello' }, V4],
    ['logs', { log: [1, 2, 3, 4, 5].map((number) => `line ${number}: grüße\n`).join('') }, 'http'],
    ['forward', { same: true, error: null }, 'channels v4.channel.k8s.io'],
  ])('%s', async (task, wanted, wire) => {
    const { direct, gateway } = targets('python')
    const expected = await ask(direct, task)
    const since = new Date()
    expect(await ask(gateway, task)).toEqual(expected)
    expect(expected).toEqual(wanted)
    expect(await wiresSince(since)).toEqual([wire])
  })

  it('is refused in words', async () => {
    const { gateway } = targets('python')
    const inShop = { ...gateway, namespace: 'shop', pod: 'ledger-0' }
    // It hands the whole answer to the handshake on as the reason of an error without a status.
    expect(await ask(inShop, 'refused')).toEqual({
      status: 0,
      reason: expect.stringMatching(/^Handshake status 403 Forbidden[^]*PODGATE-1002/),
    })
  })
})

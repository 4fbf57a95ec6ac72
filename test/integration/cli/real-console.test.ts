/** `kubectl podgate` against the gateway's own REST API, with sessions that were really recorded. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { createConsole } from '../../../lib/console/api.ts'
import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { openRecording, type Recording } from '../../../lib/recording/recorder.ts'
import type { SessionStart } from '../../../lib/recording/session-document.ts'
import { createMemoryStore } from '../../fakes/memory-store.ts'
import { startRevoking } from '../../fakes/revoking.ts'
import { ISSUER, userNamed } from '../../fakes/user.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

let server: Server
let place: Workplace
let caData: string
/** Still open while the tests run. */
let running: Recording

function start(id: string, username: string, minute: number): SessionStart {
  return {
    id,
    user: { username, groups: ['dev'], issuer: ISSUER },
    operation: 'Exec',
    target: {
      cluster: 'c',
      namespace: 'shop',
      pod: 'web-0',
      podUID: 'u',
      container: 'main',
      image: 'shop/web:1',
    },
    command: ['sh', '-c', 'cat customers'],
    tty: false,
    stdin: false,
    content: 'Full',
    policies: [
      { kind: 'AccessPolicy', namespace: 'shop', name: 'prod-shell', uid: 'p', digest: 'd' },
    ],
    client: { address: '10.0.0.1', userAgent: 'kubectl' },
    protocol: {},
    startedAt: new Date(Date.UTC(2026, 10, 22, 10, minute)),
  }
}

beforeAll(async () => {
  place = await createWorkplace()
  const store = createMemoryStore()
  const hooks = {
    onRelease: () => undefined,
    onFailure: (error: GatewayError) => {
      throw error
    },
  }
  const sealed = await openRecording(store, start('s-ana-1', 'ana', 0), hooks)
  sealed.append({ kind: 'stdout', atMs: 5, data: Buffer.from('Zoë <masked>\n\x1b]0;evil\x07') })
  sealed.append({ kind: 'stderr', atMs: 6, data: Buffer.from('warning\n') })
  sealed.append({ kind: 'stdout', atMs: 7, data: Buffer.alloc(600_000, 'x') })
  await sealed.seal({
    outcome: 'Completed',
    exitCode: 3,
    bytes: { stdin: 0, stdout: 600_024, stderr: 8 },
    masked: { Email: 1 },
    endedAt: new Date(Date.UTC(2026, 10, 22, 10, 2)),
  })
  running = await openRecording(store, start('s-bo-1', 'bo', 5), hooks)
  running.append({ kind: 'stdout', atMs: 1, data: Buffer.from('so far\n') })

  const revoking = await startRevoking(new AbortController().signal)
  const app = createConsole({
    store,
    authenticate: (request) => {
      const username = /^Bearer (\w+)$/.exec(request.headers.authorization ?? '')?.[1]
      if (username === undefined) throw new GatewayError('Unauthorized', 'who are you?')
      const groups = username === 'dpo' ? ['privacy'] : ['dev']
      return Promise.resolve(userNamed(username, { groups }))
    },
    auditorGroups: ['privacy'],
    adminGroups: ['platform'],
    ...revoking,
    watch: revoking.revocations.watch,
  })
  const ca = await createAuthority('gateway')
  caData = Buffer.from(ca.certificate).toString('base64')
  const tls = await issueCertificate(ca, {
    commonName: 'gateway',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  server = createServer({ cert: tls.certificate, key: tls.privateKey }, app)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterAll(async () => {
  await running.seal({
    outcome: 'ClientLost',
    bytes: { stdin: 0, stdout: 7, stderr: 0 },
    masked: {},
    endedAt: new Date(),
  })
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
  await place.remove()
})

async function podgateAs(username: string, ...args: string[]): Promise<Ended> {
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  await place.kubeconfig(url, { 'certificate-authority-data': caData }, { token: username })
  return place.run('kubectl-podgate', args)
}

const idsOf = ({ out }: Ended): (string | undefined)[] =>
  out
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(' ')[0])

describe("kubectl podgate and the gateway's REST API", () => {
  it('lists my own sessions', async () => {
    expect(idsOf(await podgateAs('ana', 'sessions'))).toEqual(['s-ana-1'])
  })

  it('lists everybody’s for an auditor, the latest first, and by every filter', async () => {
    expect(idsOf(await podgateAs('dpo', 'sessions'))).toEqual(['s-bo-1', 's-ana-1'])
    const filter = ['-n', 'shop', '--pod', 'web-0', '--user', 'ana', '--limit', '5']
    expect(idsOf(await podgateAs('dpo', 'sessions', ...filter))).toEqual(['s-ana-1'])
    expect(await podgateAs('dpo', 'sessions', '--limit', '1')).toMatchObject({
      code: 0,
      err: 'There are more; --limit shows up to 500.\n',
    })
  })

  it('describes one', async () => {
    const { code, out } = await podgateAs('ana', 'sessions', 'show', 's-ana-1')
    expect(out).toContain('State:      Completed(3)\n')
    expect(out).toContain('Masked:     1 (Email 1)\n')
    expect(code).toBe(0)
  })

  it('replays one, whole and harmless', async () => {
    const { code, out, err } = await podgateAs('ana', 'replay', 's-ana-1', '--speed', '0')
    expect(out).toBe(`Zoë <masked>\n${'x'.repeat(600_000)}`)
    expect({ code, err }).toEqual({ code: 0, err: 'warning\n' })
  })

  it('replays what there is of one that still runs', async () => {
    expect(await podgateAs('dpo', 'replay', 's-bo-1')).toMatchObject({
      code: 0,
      out: 'so far\n',
      err: 'The session still runs; this is what was recorded so far.\n',
    })
  })

  it.each([{ args: ['replay', 's-bo-1'] }, { args: ['sessions', 'show', 's-bo-1'] }])(
    'does not show another’s: $args',
    async ({ args }) => {
      expect(await podgateAs('ana', ...args)).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(
          /^Error from server \(NotFound\): there is no such session .*\n$/,
        ),
      })
    },
  )
})

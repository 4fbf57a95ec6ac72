import type { ServerResponse } from 'node:http'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import {
  answer,
  refuse,
  startKubeApiServer,
  type FakeKubeApiServer,
} from '../../fakes/kube-api-server.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

const API = '/podgate/v1alpha1/sessions'

let server: FakeKubeApiServer
let place: Workplace

beforeAll(async () => {
  place = await createWorkplace()
})

afterAll(() => place.remove())

beforeEach(async () => {
  server = await startKubeApiServer()
  server.tokens.set('ana', { username: 'ana', groups: ['dev'] })
  const ca = { 'certificate-authority-data': Buffer.from(server.ca.certificate).toString('base64') }
  await place.kubeconfig(server.url, ca, { token: 'ana' }, 'shop')
})

afterEach(() => server.close())

const podgate = (...args: string[]): Promise<Ended> => place.run('kubectl-podgate', args)

function sessionDocument(changes: object = {}): Record<string, unknown> {
  return {
    id: 's-4f2a',
    user: { username: 'ana', groups: ['dev'] },
    operation: 'Exec',
    target: {
      cluster: 'c',
      namespace: 'shop',
      pod: 'web-0',
      podUID: 'u',
      container: 'main',
      image: 'shop/web:1',
    },
    command: ['sh', '-c', 'id; \u001b[2J'],
    tty: true,
    policies: [{ kind: 'AccessPolicy', namespace: 'shop', name: 'prod-shell' }],
    approval: {
      name: 'apreq-7k2',
      approvers: [{ username: 'bo', reason: 'INC-1', time: '2026-11-22T10:00:00Z' }],
    },
    client: { address: '10.0.0.1', userAgent: 'kubectl' },
    startedAt: '2026-11-22T10:00:00.000Z',
    endedAt: '2026-11-22T10:02:05.000Z',
    state: 'Ended',
    outcome: 'Completed',
    exitCode: 3,
    bytes: { stdin: 5, stdout: 2048, stderr: 0 },
    masked: { Email: 9, Iban: 3 },
    ...changes,
  }
}

/** Serves what a gateway has besides the Kubernetes API. */
function serve(routes: Record<string, (response: ServerResponse, url: URL) => void>): void {
  server.intercept = (_request, response, url) => {
    const route = routes[url.pathname]
    if (route === undefined) return false
    route(response, url)
    return true
  }
}

type Line = [atMs: number, kind: string, data: string | Buffer]

const ndjson = (lines: readonly Line[]): string =>
  lines
    .map(
      ([atMs, kind, data]) =>
        `${JSON.stringify({ atMs, kind, data: Buffer.from(data).toString('base64') })}\n`,
    )
    .join('')

function serveTranscript(lines: readonly Line[], changes: object = {}): void {
  serve({
    [`${API}/s-4f2a`]: (response) => answer(response, 200, sessionDocument(changes)),
    [`${API}/s-4f2a/frames`]: (response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' }).end(ndjson(lines))
    },
  })
}

describe('kubectl podgate sessions', () => {
  it('lists them, with the command harmless', async () => {
    serve({ [API]: (response) => answer(response, 200, { items: [sessionDocument()] }) })
    const { code, out, err } = await podgate('sessions')
    expect(out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 6))).toEqual([
      ['ID', 'USER', 'NAMESPACE', 'POD', 'COMMAND', 'STATE'],
      ['s-4f2a', 'ana', 'shop', 'web-0', String.raw`sh -c $'id; \x1b[2J'`, 'Completed(3)'],
      [''],
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  it.each([
    ['Logs', { command: ['--follow', '--tail=10'] }, 'web-0', 'logs --follow --tail=10'],
    ['Attach', { command: [] }, 'web-0', '(attach)'],
    ['PortForward', { command: [] }, 'web-0', '(port-forward)'],
    ['Copy', { command: ['tar', 'cf', '-', '/etc'] }, 'web-0', '(cp) tar cf - /etc'],
    ['Debug', { command: ['sh'] }, 'web-0', '(debug) sh'],
    ['Proxy', { command: [], target: { service: 'web', port: 80 } }, 'svc/web', '(proxy)'],
    ['Proxy', { command: [], target: { node: 'n1' } }, 'node/n1', '(proxy)'],
    [
      'TokenRequest',
      { command: [], target: { serviceAccount: 'bot' } },
      'sa/bot',
      '(create token)',
    ],
    ['Later', { command: ['x'] }, 'web-0', '(Later) x'],
  ])('lists a session of %s as what it was', async (operation, changes, target, deed) => {
    const document = sessionDocument({ operation, ...changes })
    serve({ [API]: (response) => answer(response, 200, { items: [document] }) })
    const { out } = await podgate('sessions')
    const cells = out.split('\n')[1]?.split(/ {2,}/)
    expect(cells?.slice(3, 5)).toEqual([target, deed])
  })

  it('tells more with -o wide', async () => {
    serve({ [API]: (response) => answer(response, 200, { items: [sessionDocument()] }) })
    const { out } = await podgate('sessions', '-o', 'wide')
    expect(out.split('\n')[1]?.split(/ {2,}/).slice(7)).toEqual([
      '2m5s',
      'main',
      '2.0Ki',
      '12 (Email 9, Iban 3)',
      'bo',
      '10.0.0.1',
    ])
  })

  it('asks for what was asked for, and not for the namespace of the context', async () => {
    const asked: string[] = []
    serve({
      [API]: (response, url) => {
        asked.push(url.search)
        answer(response, 200, { items: [] })
      },
    })
    expect(await podgate('sessions')).toMatchObject({
      code: 0,
      out: '',
      err: 'No sessions found.\n',
    })
    await podgate('sessions', '-n', 'prod', '--pod', 'web-0', '--user', 'bo@corp', '--limit', '7')
    expect(asked).toEqual(['?limit=50', '?user=bo%40corp&pod=web-0&namespace=prod&limit=7'])
  })

  it('gives the documents as they came with -o json', async () => {
    serve({
      [API]: (response) => answer(response, 200, { items: [sessionDocument({ extra: 1 })] }),
    })
    expect(JSON.parse((await podgate('sessions', '-o', 'json')).out)).toEqual({
      items: [sessionDocument({ extra: 1 })],
    })
  })

  it('says that the limit cut the list', async () => {
    const list = { metadata: { continue: 'x' }, items: [sessionDocument()] }
    serve({ [API]: (response) => answer(response, 200, list) })
    expect(await podgate('sessions', '--limit', '1')).toMatchObject({
      code: 0,
      err: 'There are more; --limit shows up to 500.\n',
    })
  })

  it('describes one', async () => {
    serve({ [`${API}/s-4f2a`]: (response) => answer(response, 200, sessionDocument()) })
    const { code, out } = await podgate('sessions', 'show', 's-4f2a')
    for (const line of [
      'User:       ana',
      'Operation:  Exec (terminal)',
      String.raw`Command:    sh -c $'id; \x1b[2J'`,
      'Policies:   prod-shell',
      'Approval:   apreq-7k2 (bo: "INC-1")',
      'Duration:   2m5s',
      'State:      Completed(3)',
      'Masked:     12 (Email 9, Iban 3)',
      'Replay:     kubectl podgate replay s-4f2a',
    ]) {
      expect(out.split('\n')).toContain(line)
    }
    expect(code).toBe(0)
  })

  it('gives the words of the gateway when it refuses', async () => {
    serve({
      [`${API}/s-4f2a`]: (response) =>
        refuse(response, 403, 'Forbidden', 'session s-4f2a is not yours [PODGATE-1600]'),
    })
    expect(await podgate('sessions', 'show', 's-4f2a')).toMatchObject({
      code: 3,
      err: 'Error from server (Forbidden): session s-4f2a is not yours [PODGATE-1600]\n',
    })
  })

  it('says that an API server is no gateway', async () => {
    const { code, err } = await podgate('sessions')
    expect(err).toBe(
      `error: ${server.url} is not a Podgate gateway; sessions need the gateway's kubeconfig (--kubeconfig or --context)\n`,
    )
    expect(code).toBe(1)
  })

  it.each([
    { args: ['sessions', '--limit', '0'], want: '--limit must be between 1 and 500' },
    { args: ['sessions', '--limit', 'x'], want: '--limit must be between 1 and 500' },
    { args: ['sessions', 'show'], want: 'show needs the id of one session' },
    { args: ['sessions', 'show', '../x'], want: `"../x" is not a session's id` },
    { args: ['sessions', 'list'], want: 'unknown word "list"' },
    { args: ['replay'], want: 'replay needs the id of one session' },
    { args: ['replay', 's-1', '--speed', '-1'], want: '--speed' },
    { args: ['replay', 's-1', '--speed', '1001'], want: '--speed must be a number from 0' },
    { args: ['replay', 's-1', '--idle-limit', '2'], want: '--idle-limit must be a duration' },
    { args: ['revoke', 'group', 'dev'], want: '"group" is none of user, issuer, session, token' },
    { args: ['revoke', 'constructor', 'x'], want: '"constructor" is none of user, issuer' },
    { args: ['revoke', 'user'], want: 'needs one of: user NAME' },
    { args: ['revoke', 'token', 't-1', '--for', '1h'], want: '--for is for users and issuers' },
    { args: ['nonsense'], want: 'unknown command "nonsense"' },
  ])('refuses $args', async ({ args, want }) => {
    const { code, out, err } = await podgate(...args)
    expect(err).toContain(want)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })
})

describe('kubectl podgate replay', () => {
  it('prints both channels, harmless, and how it ended', async () => {
    serveTranscript([
      [0, 'stdout', 'one\n\x1b]0;evil\x07'],
      [1, 'stderr', 'oops\n'],
      [2, 'stdout', 'two\n'],
      [
        3,
        'error',
        '{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}',
      ],
    ])
    expect(await podgate('replay', 's-4f2a', '--no-timing')).toMatchObject({
      code: 0,
      out: 'one\ntwo\n',
      err: 'oops\ncommand terminated with exit code 3\n',
    })
  })

  it('gives every byte back with --raw', async () => {
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7) % 256))
    serveTranscript([
      [0, 'stdout', bytes.subarray(0, 1001)],
      [1, 'stdout', bytes.subarray(1001)],
    ])
    const { code, stdout } = await podgate('replay', 's-4f2a', '--raw', '--speed', '0')
    expect(stdout.equals(bytes)).toBe(true)
    expect(code).toBe(0)
  })

  it('keeps the recorded time, with long pauses cut', async () => {
    serveTranscript([
      [0, 'stdout', 'a'],
      [60_000, 'stdout', 'b'],
      [60_300, 'stdout', 'c'],
    ])
    const startedMs = performance.now()
    expect((await podgate('replay', 's-4f2a', '--idle-limit', '200ms')).out).toBe('abc')
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(400)
  })

  it('says that a session still runs', async () => {
    serveTranscript([[0, 'stdout', 'a']], {
      endedAt: undefined,
      outcome: undefined,
      state: 'Running',
    })
    expect(await podgate('replay', 's-4f2a')).toMatchObject({
      code: 0,
      err: 'The session still runs; this is what was recorded so far.\n',
    })
  })

  it('says that a session did not end in order', async () => {
    serveTranscript([[0, 'stdout', 'a']], { outcome: 'StoreLost', message: 'store gone' })
    expect((await podgate('replay', 's-4f2a')).err).toBe(
      'The session ended as StoreLost: store gone\n',
    )
  })

  it('fails when the transcript breaks off', async () => {
    serve({
      [`${API}/s-4f2a/frames`]: (response) => {
        response.writeHead(200)
        response.write(ndjson([[0, 'stdout', 'a']]), () => response.destroy())
      },
    })
    const { code, out, err } = await podgate('replay', 's-4f2a')
    expect(out).toBe('a')
    expect(err).toMatch(/^error: the transcript broke off/)
    expect(code).toBe(1)
  })

  it('ends at Ctrl-C, also in the midst of a pause', async () => {
    serveTranscript([
      [0, 'stdout', 'first\n'],
      [3_600_000, 'stdout', 'never'],
    ])
    const running = place.start('kubectl-podgate', ['replay', 's-4f2a', '--idle-limit', '0'])
    await running.until('first\n')
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 130, out: 'first\n', err: '' })
  })

  it('ends quietly when its reader goes away', async () => {
    serve({
      [`${API}/s-4f2a/frames`]: (response) => {
        response.writeHead(200)
        const send = (): void => {
          while (response.write(ndjson([[0, 'stdout', 'x'.repeat(1000)]]))) continue
          response.once('drain', send)
        }
        send()
      },
    })
    const running = place.start('kubectl-podgate', ['replay', 's-4f2a', '--speed', '0'])
    await running.until('x')
    running.child.stdout?.destroy()
    expect(await running.ended).toMatchObject({ code: 0, err: '' })
  })
})

describe('kubectl podgate without a server', () => {
  it.each([
    { args: ['version'], want: /^podgate \d+\.\d+\.\d+\n$/ },
    {
      args: ['help'],
      want: /^kubectl podgate: sign in at the gateway, and see what went through it\n/,
    },
    { args: [], want: /^kubectl podgate: sign in at the gateway, and see what went through it\n/ },
    { args: ['sessions', '--help'], want: /^kubectl podgate sessions: recorded sessions/ },
    { args: ['replay', '-h'], want: /^kubectl podgate replay: show a session/ },
  ])('$args', async ({ args, want }) => {
    const { code, out } = await place.run('kubectl-podgate', args, { KUBECONFIG: '/nowhere' })
    expect(out).toMatch(want)
    expect(code).toBe(0)
  })

  it('starts quickly (printed, not judged: a busy machine says nothing)', async () => {
    const startedMs = performance.now()
    await podgate('version')
    process.stdout.write(
      `kubectl podgate version: ${(performance.now() - startedMs).toFixed(0)} ms\n`,
    )
    expect(startedMs).toBeGreaterThan(0)
  })
})

import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import type {
  ApprovalRequest,
  ApprovalRequestCondition,
} from '../../../lib/api/approval-request.generated.ts'
import { runApprove } from '../../../lib/cli/approve/command.ts'
import { createFakeIo } from '../../fakes/cli-io.ts'
import { refuse, startKubeApiServer, type FakeKubeApiServer } from '../../fakes/kube-api-server.ts'
import {
  buildRequest,
  condition,
  CY,
  decision,
  ONCALL,
  type RequestOptions,
} from '../../unit/cli/approve/requests.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

let server: FakeKubeApiServer
let place: Workplace

beforeAll(async () => {
  place = await createWorkplace()
})

afterAll(() => place.remove())

beforeEach(async () => {
  server = await startKubeApiServer({ pageSize: 2 })
  server.tokens.set('bo', { username: 'bo', groups: ['oncall', 'system:authenticated'] })
  server.tokens.set('ana', { username: 'ana', groups: ['dev', 'system:authenticated'] })
  await signIn('bo')
})

afterEach(() => server.close())

async function signIn(token: string, namespace?: string): Promise<void> {
  const caData = Buffer.from(server.ca.certificate).toString('base64')
  await place.kubeconfig(server.url, { 'certificate-authority-data': caData }, { token }, namespace)
}

/** Requests of the real moment, since the programs have the real clock. */
function put(options: RequestOptions = {}): void {
  const request = buildRequest(options)
  const expiresAt = new Date(Date.now() + (options.expiresInMs ?? 300_000)).toISOString()
  server.put({ ...request, spec: { ...request.spec, expiresAt } })
}

function conclude(type: ApprovalRequestCondition['type']): (request: ApprovalRequest) => void {
  return (request) => {
    server.onPatched = undefined
    const now = { ...condition(type, 'because'), lastTransitionTime: new Date().toISOString() }
    server.put({ ...request, status: { ...request.status, conditions: [now] } })
  }
}

function approve(...args: string[]): Promise<Ended> {
  return place.run('kubectl-approve', args)
}

const decisions = (name = 'apreq-7k2', namespace = 'shop'): unknown =>
  server.get(namespace, name)?.status?.decisions

function forbid(matches: (url: URL, method: string) => boolean): void {
  server.intercept = (request, response, url) => {
    if (!matches(url, request.method ?? '')) return false
    refuse(response, 403, 'Forbidden', `${url.pathname} is forbidden`)
    return true
  }
}

const isClusterList = (url: URL): boolean =>
  url.pathname === '/apis/podgate.dev/v1alpha1/approvalrequests'

describe('kubectl approve without a name', () => {
  it('lists what waits for me in all namespaces, over all pages, the most urgent first', async () => {
    put({ name: 'a', namespace: 'shop', expiresInMs: 240_500 })
    put({ name: 'mine', requester: 'bo' })
    put({ name: 'b', namespace: 'prod', expiresInMs: 180_500 })
    put({ name: 'not-mine-to-decide', demands: [[CY]] })
    put({ name: 'done', conditions: [condition('Denied')] })
    const { code, out, err } = await approve()
    expect(out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 5))).toEqual([
      ['NAMESPACE', 'NAME', 'REQUESTER', 'POD', 'COMMAND'],
      ['prod', 'b', 'ana', 'web-0', 'sh'],
      ['shop', 'a', 'ana', 'web-0', 'sh'],
      [''],
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  it('says so on stderr when there is nothing', async () => {
    expect(await approve()).toMatchObject({
      code: 0,
      out: '',
      err: 'No requests wait for your decision.\n',
    })
  })

  it('gives an empty list as JSON when there is nothing', async () => {
    const { out, code } = await approve('-o', 'json')
    expect(JSON.parse(out)).toEqual({ apiVersion: 'v1', kind: 'List', metadata: {}, items: [] })
    expect(code).toBe(0)
  })

  it('keeps to the namespace of -n', async () => {
    put({ name: 'a', namespace: 'shop' })
    put({ name: 'b', namespace: 'prod' })
    expect((await approve('-n', 'prod', '-o', 'name')).out).toBe('approvalrequest.podgate.dev/b\n')
  })

  it('falls back to the namespace of the context where not all may be listed', async () => {
    await signIn('bo', 'prod')
    put({ name: 'a', namespace: 'shop' })
    put({ name: 'b', namespace: 'prod' })
    forbid(isClusterList)
    expect(await approve('-o', 'name')).toMatchObject({
      code: 0,
      out: 'approvalrequest.podgate.dev/b\n',
    })
  })

  it('fails with -A where not all may be listed', async () => {
    forbid(isClusterList)
    expect(await approve('-A')).toMatchObject({
      code: 3,
      out: '',
      err: 'Error from server (Forbidden): /apis/podgate.dev/v1alpha1/approvalrequests is forbidden\n',
    })
  })

  it('goes on listing with -w, each request once, until Ctrl-C', async () => {
    put({ name: 'a' })
    const running = place.start('kubectl-approve', ['-w', '-o', 'name'])
    await running.until('/a\n')
    put({ name: 'b' })
    await running.until('/b\n')
    put({ name: 'b' })
    put({ name: 'mine', requester: 'bo' })
    put({ name: 'c' })
    await running.until('/c\n')
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({
      code: 0,
      out: ['a', 'b', 'c'].map((name) => `approvalrequest.podgate.dev/${name}\n`).join(''),
      err: '',
    })
  })

  it('lists anew with -w where the watch cannot go on', async () => {
    let watches = 0
    server.intercept = (_request, response, url) => {
      if (!url.searchParams.has('watch') || ++watches > 1) return false
      put({ name: 'meanwhile' })
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }
      response.writeHead(200).end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      return true
    }
    const running = place.start('kubectl-approve', ['-w'])
    await running.until('meanwhile')
    running.child.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 0 })
  })
})

describe('kubectl approve NAME', () => {
  it('adds my decision as the API server sees me, and tells what the gateway made of it', async () => {
    put({ decisions: [decision('cy', 'Approve', ['other'])], demands: [[ONCALL]] })
    server.onPatched = conclude('Approved')
    const { code, out, err } = await approve('apreq-7k2', '--reason', 'INC-1234', '-n', 'shop')
    expect(out).toMatch(
      /^approvalrequest\.podgate\.dev\/apreq-7k2 approved\nana may exec into shop\/web-0 \(container main\) until .*\d\d:\d\d UTC \(in (29|30)m\)\n$/,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(decisions()).toEqual([
      decision('cy', 'Approve', ['other']),
      {
        approver: 'bo',
        groups: ['oncall', 'system:authenticated'],
        verdict: 'Approve',
        reason: 'INC-1234',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
    ])
  })

  it('finds a request in another namespace than that of the context', async () => {
    put({ namespace: 'prod' })
    server.onPatched = conclude('Approved')
    expect(await approve('apreq/apreq-7k2')).toMatchObject({ code: 0 })
    expect(decisions('apreq-7k2', 'prod')).toHaveLength(1)
  })

  it('does not look elsewhere with -n', async () => {
    put({ namespace: 'prod' })
    expect(await approve('apreq-7k2', '-n', 'shop')).toMatchObject({
      code: 1,
      err: 'Error from server (NotFound): approvalrequests.podgate.dev "apreq-7k2" not found\n',
    })
  })

  it('asks which of two is meant', async () => {
    put({ namespace: 'prod' })
    put({ namespace: 'shop' })
    const { code, err } = await approve('apreq-7k2')
    expect(code).toBe(1)
    expect(err).toBe(
      'error: there is a apreq-7k2 in several namespaces (prod, shop); say which with -n\n',
    )
  })

  it('says what to do where only the namespace of the context may be searched', async () => {
    put({ namespace: 'prod' })
    forbid(isClusterList)
    const { code, err } = await approve('apreq-7k2')
    expect(code).toBe(1)
    expect(err).toContain('It may be in another namespace than default; name that with -n.')
  })

  it('decides about several, and gives the code of the failure', async () => {
    put({ name: 'a' })
    put({ name: 'mine', requester: 'bo' })
    put({ name: 'b' })
    const done: string[] = []
    server.onPatched = (request) => {
      done.push(request.metadata.name)
      server.put({
        ...request,
        status: {
          ...request.status,
          conditions: [{ ...condition('Approved'), lastTransitionTime: new Date().toISOString() }],
        },
      })
    }
    const { code, out, err } = await approve('a', 'mine', 'b')
    expect(code).toBe(5)
    expect(out.match(/ approved\n/g)).toHaveLength(2)
    expect(err).toBe(
      'error: mine is your own request; somebody else has to decide it: group oncall\n',
    )
    expect(done).toEqual(['a', 'b'])
  })

  it('tries again when others wrote in between, and keeps what they wrote', async () => {
    put()
    let conflicts = 0
    server.intercept = (request) => {
      if (request.method === 'PATCH' && conflicts < 2) {
        conflicts += 1
        const held = server.get('shop', 'apreq-7k2') ?? buildRequest()
        const others = [...(held.status?.decisions ?? []), decision(`x${conflicts}`, 'Approve', [])]
        server.put({ ...held, status: { decisions: others } })
      }
      return false
    }
    server.onPatched = conclude('Approved')
    expect(await approve('apreq-7k2')).toMatchObject({ code: 0 })
    expect(decisions()).toMatchObject([{ approver: 'x1' }, { approver: 'x2' }, { approver: 'bo' }])
  })

  it('tells whose approval is still missing, without waiting for it', async () => {
    put({ demands: [[ONCALL], [CY]] })
    const { code, out } = await approve('apreq-7k2')
    expect(out).toBe(
      'approvalrequest.podgate.dev/apreq-7k2 approved by bo; it needs one more approval: user cy\n',
    )
    expect(code).toBe(0)
  })

  it('says with its own code that the gateway has not acted when the wait is over', async () => {
    put()
    // Within this process, so that five seconds pass at once.
    const env = { KUBECONFIG: join(place.folder, 'config') }
    const io = createFakeIo({ startMs: Date.now(), env })
    expect(await runApprove(['apreq-7k2'], io)).toBe(4)
    expect(io.sleeps[0]).toBe(5000)
    expect(io.out()).toBe(
      'approvalrequest.podgate.dev/apreq-7k2 approved by bo, but the gateway has not acted on it yet; see: kubectl approve show apreq-7k2\n',
    )
    expect(decisions()).toHaveLength(1)
  })

  it('asks again and again where watching is not permitted', async () => {
    put()
    forbid((url) => url.searchParams.has('watch'))
    let reads = 0
    const inner = server.intercept
    server.intercept = (request, response, url) => {
      if (server.onPatched === undefined && url.pathname.endsWith('/apreq-7k2') && ++reads === 2) {
        conclude('Approved')(server.get('shop', 'apreq-7k2') ?? buildRequest())
      }
      return inner?.(request, response, url) === true
    }
    server.onPatched = () => {
      server.onPatched = undefined
    }
    expect(await approve('apreq-7k2', '-n', 'shop')).toMatchObject({ code: 0 })
    expect(reads).toBeGreaterThanOrEqual(2)
  })

  it('tells that another denied first', async () => {
    put()
    server.onPatched = conclude('Denied')
    const { code, out } = await approve('apreq-7k2')
    expect(out).toBe('approvalrequest.podgate.dev/apreq-7k2 is denied: because\n')
    expect(code).toBe(1)
  })

  it('prints the object as the server holds it with -o json', async () => {
    put()
    server.onPatched = conclude('Approved')
    const { out } = await approve('apreq-7k2', '-o', 'json')
    expect(JSON.parse(out)).toEqual(server.get('shop', 'apreq-7k2'))
  })
})

describe('kubectl approve refuses, in words, and writes nothing', () => {
  it.each([
    {
      name: 'my own request',
      options: { requester: 'bo' },
      args: ['apreq-7k2'],
      code: 5,
      err: 'error: apreq-7k2 is your own request; somebody else has to decide it: group oncall\n',
    },
    {
      name: 'a request for other approvers',
      options: { demands: [[CY]] },
      args: ['apreq-7k2'],
      code: 5,
      err: 'error: you (bo) are not among the approvers of apreq-7k2: user cy\n',
    },
    {
      name: 'one that was denied',
      options: {
        decisions: [decision('cy', 'Deny', ['oncall'], 'no\u001b[2J')],
        conditions: [condition('Denied')],
      },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 is already denied by cy: "no\\x1b[2J"\n',
    },
    {
      name: 'to deny one that was approved',
      options: { decisions: [decision('cy', 'Approve')], conditions: [condition('Approved')] },
      args: ['deny', 'apreq-7k2', '--reason', 'x'],
      code: 1,
      err: 'error: apreq-7k2 is already approved by cy\n',
    },
    {
      name: 'to deny after I approved',
      options: { demands: [[ONCALL], [CY]], decisions: [decision('bo', 'Approve')] },
      args: ['deny', 'apreq-7k2', '--reason', 'x'],
      code: 1,
      err: 'error: you have already approved apreq-7k2; a decision cannot be changed\n',
    },
    {
      name: 'one that was used',
      options: { conditions: [condition('Approved'), condition('Consumed', 'session s-1')] },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 is already consumed: session s-1\n',
    },
    {
      name: 'one that expired',
      options: { expiresInMs: -1000 },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 has expired; the requester has to run the command again to ask anew\n',
    },
  ] as { name: string; options: RequestOptions; args: string[]; code: number; err: string }[])(
    '$name',
    async ({ options, args, code, err }) => {
      put(options)
      const before = server.get('shop', 'apreq-7k2')
      expect(await approve(...args, '-n', 'shop')).toMatchObject({ code, err, out: '' })
      expect(server.get('shop', 'apreq-7k2')).toBe(before)
    },
  )

  it('gives the code of "not allowed" where the API server itself refuses the decision', async () => {
    put()
    forbid((_url, method) => method === 'PATCH')
    expect(await approve('apreq-7k2', '-n', 'shop')).toMatchObject({
      code: 5,
      err: expect.stringMatching(/^Error from server \(Forbidden\): .*\/status is forbidden\n$/),
    })
  })

  it('is content where the same is decided already', async () => {
    put({ decisions: [decision('cy', 'Approve')], conditions: [condition('Approved')] })
    const before = server.get('shop', 'apreq-7k2')
    const { code, out } = await approve('apreq-7k2', '-n', 'shop')
    expect(out).toContain('approvalrequest.podgate.dev/apreq-7k2 already approved\n')
    expect(code).toBe(0)
    expect(server.get('shop', 'apreq-7k2')).toBe(before)
  })
})

describe('kubectl approve deny', () => {
  it('denies with the reason', async () => {
    put()
    server.onPatched = conclude('Denied')
    const { code, out } = await approve('deny', 'apreq-7k2', '--reason', 'use the replica')
    expect(out).toBe('approvalrequest.podgate.dev/apreq-7k2 denied\n')
    expect(code).toBe(0)
    expect(decisions()).toMatchObject([{ verdict: 'Deny', reason: 'use the replica' }])
  })
})

describe('kubectl approve show', () => {
  it('describes several, one after the other', async () => {
    put({ name: 'a' })
    put({ name: 'b' })
    const { code, out } = await approve('show', 'a', 'b')
    expect(out.split('\n').filter((line) => /^(Name:|You:|$)/.test(line))).toEqual([
      'Name:       a',
      'You:        may decide: kubectl approve a -n shop',
      '',
      'Name:       b',
      'You:        may decide: kubectl approve b -n shop',
      '',
    ])
    expect(code).toBe(0)
  })

  it('gives a list with -o yaml for several', async () => {
    put({ name: 'a' })
    put({ name: 'b' })
    const { out } = await approve('show', 'a', 'b', '-o', 'yaml')
    expect(out).toContain('kind: List\n')
    expect(out.match(/kind: ApprovalRequest\n/g)).toHaveLength(2)
  })
})

describe('kubectl approve --help', () => {
  it('needs no server and no kubeconfig', async () => {
    const { code, out } = await place.run('kubectl-approve', ['--help'], { KUBECONFIG: '/nowhere' })
    expect(out).toContain('kubectl approve deny NAME... --reason TEXT')
    expect(code).toBe(0)
  })
})

/** kubectl debug, run and attach, against a real API server and kubelet. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { inTerminal, type RunResult } from './support/kubectl.ts'
import { COLD_START_MS, eventually, openShop, pendingRequests, type Shop } from './support/shop.ts'

let shop: Shop
let image: string

beforeAll(async () => {
  shop = await openShop()
  image = shop.sandbox.cluster.demoImage
  await shop.apply(DEV_PODS)
  await shop.apply(DEV_PODS_BINDING)
  await shop.apply(debugPolicy('own-pods', { key: 'app', operator: 'DoesNotExist' }))
  await shop.apply(debugPolicy('web-debug', WEB_PODS, BY_ONCALL))
  await eventually('the policies in the gateway', async () => {
    const { stdout } = await shop.admin(['get', 'apol', '-n', 'shop', '-o', 'name'])
    return stdout.includes('web-debug')
  })
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

const WEB_PODS = { key: 'app', operator: 'In', values: ['web'] }
const BY_ONCALL = {
  approval: { mode: 'Session', approvers: [{ kind: 'Group', name: 'oncall' }], validFor: '30s' },
}

const DEV_PODS = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'dev-pods' },
  rules: [
    {
      apiGroups: [''],
      resources: ['pods'],
      verbs: ['get', 'list', 'watch', 'create', 'delete', 'patch'],
    },
    { apiGroups: [''], resources: ['pods/ephemeralcontainers'], verbs: ['get', 'patch', 'update'] },
    { apiGroups: [''], resources: ['nodes'], verbs: ['get'] },
  ],
}

const DEV_PODS_BINDING = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'dev-pods' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'dev-pods' },
  subjects: [{ kind: 'Group', name: 'dev', apiGroup: 'rbac.authorization.k8s.io' }],
}

function debugPolicy(name: string, selected: object, more: object = {}): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: 'shop' },
    spec: {
      subjects: [
        { kind: 'Group', name: 'dev' },
        { kind: 'Group', name: 'oncall' },
      ],
      match: { operations: ['Debug'], podSelector: { matchExpressions: [selected] } },
      ...more,
    },
  }
}

async function sessions(): Promise<SessionDocument[]> {
  const { database } = shop.sandbox.json.mongodb
  const found = shop.mongo.db(database).collection<SessionDocument>('sessions')
  return await found
    .find({ operation: { $in: ['Debug', 'Attach'] } })
    .sort({ startedAt: 1 })
    .toArray()
}

async function newest(count: number): Promise<SessionDocument[]> {
  return await eventually('the sealed records', async () => {
    const last = (await sessions()).slice(-count)
    return last.every(({ end }) => end !== null) && last
  })
}

async function debuggers(pod: string): Promise<string[]> {
  const path = 'jsonpath={.spec.ephemeralContainers[*].name}'
  const { stdout } = await shop.admin(['get', 'pod', pod, '-n', 'shop', '-o', path])
  return stdout.split(' ').filter((name) => name !== '')
}

/** Waits for the prompt, types, and reads what comes of it. */
async function sit(args: string[], line: string): Promise<RunResult> {
  const { kubectl, users } = shop.sandbox.json
  let typed = false
  return await inTerminal(
    [kubectl, `--kubeconfig=${users.ana.kubeconfig}`, '-n', 'shop', ...args],
    {
      onOutput(text, child) {
        if (typed || !text.includes('# ')) return
        typed = true
        child.stdin.write(`${line}\n`)
      },
    },
  )
}

const OWN = (): string =>
  `--overrides=${JSON.stringify({
    spec: {
      serviceAccountName: 'shop',
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
    },
  })}`

describe('kubectl debug of a pod', () => {
  it('sits in a container of its own; what comes out is masked; both are one decision', async () => {
    const args = ['debug', '-it', 'tools-0', '--profile=general', `--image=${image}`, '--', 'sh']
    const result = await sit(args, 'printf "alice@%s\\n" example.com; exit 3')
    expect(result.stdout).toMatch(/alice@\*+|\*{5,}/)
    expect(result.stdout).not.toContain('alice@example.com')
    const [made, joined] = await newest(2)
    const [name] = await debuggers('tools-0')
    expect(made).toMatchObject({
      operation: 'Debug',
      user: { username: 'ana' },
      debug: { capabilities: ['SYS_PTRACE'], privileged: false, targetContainer: '' },
      end: { outcome: 'Completed', created: { pod: 'tools-0', container: name } },
    })
    expect(joined).toMatchObject({
      operation: 'Debug',
      parent: made?._id,
      target: { container: name },
      debug: { digest: made?.debug?.digest },
    })
  })

  it('sees the processes of the container it aims at', async () => {
    const args = [
      'debug',
      '-it',
      'tools-0',
      '--target=main',
      '--profile=general',
      `--image=${image}`,
    ]
    const result = await sit([...args, '--', 'sh'], 'ps | grep -c echo.[s]h | sed s/^/seen:/; exit')
    expect(result.stdout).toContain('seen:1')
    const [made] = await newest(2)
    expect(made?.target.container).toBe('main')
  })

  it('adds it and leaves it at that with --attach=false', async () => {
    const before = await debuggers('tools-0')
    const args = ['debug', '--attach=false', 'tools-0', '--profile=general', `--image=${image}`]
    expect(await shop.ana(['-n', 'shop', ...args, '-c', 'quiet'])).toMatchObject({ code: 0 })
    expect(await debuggers('tools-0')).toEqual([...before, 'quiet'])
    const [made] = await newest(1)
    expect(made?.end?.created?.container).toBe('quiet')
  })

  it.each([
    ['that is privileged', ['tools-0', '--profile=sysadmin'], 'PODGATE-1034'],
    ['with capabilities for the network', ['tools-0', '--profile=netadmin'], 'PODGATE-1034'],
    ['of an image that nobody knows', ['tools-0', '--image=evil:1'], 'PODGATE-1034'],
    ['in a pod that no policy names', ['ledger-0'], 'PODGATE-1002'],
  ])('is refused in words for a container %s', async (_name, args, words) => {
    const [pod = ''] = args
    const before = await debuggers(pod)
    const all = ['-n', 'shop', 'debug', '-i', `--image=${image}`, '--profile=general', ...args]
    const result = await shop.ana([...all, '--', 'sh'])
    expect(result.code).toBe(1)
    expect(result.stderr).toContain(words)
    expect(await debuggers(pod)).toEqual(before)
  })
})

describe('a pod of one’s own', () => {
  it.each([
    ['a copy', ['debug', '-it', 'tools-0', '--copy-to=tools-copy', '--profile=general']],
    ['one that is run', ['run', '-it', 'own-0', '--restart=Never', '--rm']],
  ])('%s is Debug, and so is joining it', async (_name, args) => {
    const more = args[0] === 'run' ? [OWN()] : []
    const result = await sit(
      [...args, ...more, `--image=${image}`, '--', 'sh'],
      'echo in-$((40+2)); exit',
    )
    expect(result.stdout).toContain('in-42')
    const [made, joined] = await newest(2)
    expect(made).toMatchObject({ operation: 'Debug', end: { created: { container: '' } } })
    expect(joined).toMatchObject({ operation: 'Debug', parent: made?._id })
    expect(joined?.target.podUID).toBe(made?.end?.created?.podUID)
  })

  it('keeps the exit code of kubectl run', async () => {
    const args = ['run', '-i', 'own-1', '--restart=Never', '--rm', OWN(), `--image=${image}`]
    const result = await shop.ana(['-n', 'shop', ...args, '--', 'sh', '-c', 'read -r x; exit 5'], {
      input: 'go\n',
    })
    expect(result.code).toBe(5)
  })

  it('that nobody sits in passes as ever', async () => {
    const before = (await sessions()).length
    const args = ['run', 'quiet-0', '--restart=Never', OWN(), `--image=${image}`, '--', 'true']
    expect(await shop.ana(['-n', 'shop', ...args])).toMatchObject({
      code: 0,
      stdout: 'pod/quiet-0 created\n',
    })
    expect(await sessions()).toHaveLength(before)
  })

  it('on a node is refused by default, and made where a policy says so', async () => {
    const args = ['-n', 'shop', 'debug', '-i', 'node/localhost', `--image=${image}`]
    const refused = await shop.ana([...args, '--profile=general', '--', 'true'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/debug shop\/node-debugger-localhost is refused .*PODGATE-1034/)
    await shop.apply(
      debugPolicy(
        'own-pods',
        { key: 'app', operator: 'DoesNotExist' },
        { debug: { privileged: true } },
      ),
    )
    const allowed = await eventually('the policy in the gateway', async () => {
      const result = await shop.ana([...args, '--profile=general', '--attach=false', '--', 'true'])
      return result.code === 0 && result
    })
    expect(allowed.stdout).toContain('node-debugger-localhost-')
    const [made] = await newest(1)
    expect(made).toMatchObject({ debug: { privileged: true }, target: { node: 'localhost' } })
  })
})

it('attach to an ordinary container is Attach', async () => {
  const args = ['attach', '-i', 'tools-0', '-c', 'main']
  const result = await shop.ana(['-n', 'shop', ...args], {
    onOutput(text, child) {
      if (text.includes('you said: hello')) child.kill('SIGINT')
      else if (!text.includes('hello')) child.stdin.write('hello\n')
    },
  })
  expect(result.stdout).toContain('you said: hello')
  const [joined] = await newest(1)
  expect(joined).toMatchObject({ operation: 'Attach', target: { pod: 'tools-0' } })
})

describe('with an approval', () => {
  const words = (person: string): RegExp => new RegExp(`needs approval by group oncall.*${person}`)

  async function approve(): Promise<string> {
    const [name = ''] = await eventually('a request', async () => {
      const names = await pendingRequests(shop)
      return names.length === 1 && names
    })
    const approved = await shop.approve('cy', [name, '--reason', 'INC-9', '-n', 'shop'])
    expect(approved.code).toBe(0)
    return name
  }

  it('one is enough until its time is over, for the person who has it', async () => {
    const args = ['debug', '-it', 'web-0', '--profile=general', `--image=${image}`, '--', 'sh']
    const asked = await shop.ana(['-n', 'shop', ...args])
    expect(asked.code).toBe(1)
    expect(asked.stderr).toMatch(words('PODGATE-1004'))
    const name = await approve()
    expect(asked.stderr).toContain(name)

    let others: RunResult | undefined
    const result = await sit(args, 'echo in-$((40+2)); sleep 60')
    others = await shop.bo([
      '-n',
      'shop',
      'attach',
      'web-0',
      '-c',
      (await debuggers('web-0'))[0] ?? '',
    ])
    expect(result.stdout).toContain('in-42')
    // The approved time ends it, also in the middle.
    expect(result.stdout).toContain('PODGATE-1007')
    expect(others.stderr).toMatch(words('PODGATE-1004'))
    const [made, joined] = (await sessions()).filter(({ target }) => target.pod === 'web-0')
    expect(made?.approval).toMatchObject({ name, approvers: [{ username: 'cy', reason: 'INC-9' }] })
    expect(joined).toMatchObject({
      parent: made?._id,
      approval: { name },
      end: { outcome: 'Expired' },
    })

    const late = await shop.ana([
      '-n',
      'shop',
      'attach',
      'web-0',
      '-c',
      made?.end?.created?.container ?? '',
    ])
    expect(late.stderr).toMatch(words('PODGATE-1004'))
    for (const pending of await pendingRequests(shop))
      await shop.approve('cy', ['deny', pending, '--reason', 'test over', '-n', 'shop'])
  }, 120_000)
})

describe('other ways to the same container', () => {
  const patch = async (type: string, body: unknown, sub = true): Promise<RunResult> =>
    await shop.ana([
      '-n',
      'shop',
      'patch',
      'pod',
      'tools-0',
      ...(sub ? ['--subresource=ephemeralcontainers'] : []),
      `--type=${type}`,
      `-p=${JSON.stringify(body)}`,
    ])
  const evil = { name: 'evil', image: 'evil:1' }

  it.each<[string, string, unknown]>([
    ['a strategic patch', 'strategic', { spec: { ephemeralContainers: [evil] } }],
    ['a merge patch', 'merge', { spec: { ephemeralContainers: [evil] } }],
    ['a JSON patch', 'json', [{ op: 'add', path: '/spec/ephemeralContainers/-', value: evil }]],
    [
      'a JSON patch that moves',
      'json',
      [
        { op: 'add', path: '/spec/ephemeralContainers/0', value: evil },
        { op: 'move', from: '/spec/ephemeralContainers/0', path: '/spec/ephemeralContainers/1' },
      ],
    ],
    [
      'a JSON patch that changes one',
      'json',
      [{ op: 'replace', path: '/spec/ephemeralContainers/0/image', value: 'evil:1' }],
    ],
    [
      'two at once',
      'strategic',
      { spec: { ephemeralContainers: [evil, { name: 'good', image: 'busybox:1' }] } },
    ],
  ])('%s is refused', async (_name, type, body) => {
    const before = await debuggers('tools-0')
    const result = await patch(type, body)
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(/PODGATE-103[46]|is invalid/)
    expect(await debuggers('tools-0')).toEqual(before)
  })

  it.each(['strategic', 'merge'])(
    'the API server takes none by a %s patch of the pod',
    async (type) => {
      const before = await debuggers('tools-0')
      const result = await patch(type, { spec: { ephemeralContainers: [evil] } }, false)
      expect(result.code).toBe(1)
      expect(result.stderr).toContain('is invalid: spec: Forbidden')
      expect(await debuggers('tools-0')).toEqual(before)
    },
  )

  it('server-side apply is decided as well', async () => {
    const apply = async (name: string, from: string): Promise<RunResult> =>
      await shop.ana(['apply', '--server-side', '--subresource=ephemeralcontainers', '-f', '-'], {
        input: JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'tools-0', namespace: 'shop' },
          spec: { ephemeralContainers: [{ name, image: from }] },
        }),
      })
    expect((await apply('applied', 'evil:1')).stderr).toContain('PODGATE-1034')
    expect(await apply('applied', image)).toMatchObject({ code: 0 })
    expect(await debuggers('tools-0')).toContain('applied')
  })

  it('server-side apply makes no pod that was not decided on', async () => {
    const result = await shop.ana(['apply', '--server-side', '-f', '-'], {
      input: JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'applied-0', namespace: 'shop', labels: { app: 'other' } },
        spec: { hostPID: true, containers: [{ name: 'main', image }] },
      }),
    })
    expect(result.code).toBe(1)
    expect(result.stderr).toContain('PODGATE-1002')
    expect((await shop.admin(['get', 'pod', 'applied-0', '-n', 'shop'])).stderr).toContain(
      'NotFound',
    )
  })

  it('the API server takes none that does not come through the gateway', async () => {
    const args = ['-n', 'shop', 'debug', '--attach=false', 'tools-0', '--profile=general']
    const result = await shop.admin([...args, `--image=${image}`, '-c', 'around'])
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain('podgate-exec-through-gateway')
  })
})

/** Proxies, tokens and --as with kubectl, against a real API server. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import type { Operation } from '../../lib/api/operation.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import type { RunResult } from './support/kubectl.ts'
import { COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { transcriptEvents } from './support/transcript-events.ts'

let shop: Shop
let node: string

const IN_SHOP = '/api/v1/namespaces/shop'

function policyOf(kind: string, name: string, match: object): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind,
    metadata: { name, ...(kind === 'AccessPolicy' ? { namespace: 'shop' } : {}) },
    spec: { effect: 'Allow', subjects: [{ kind: 'Group', name: 'dev' }], match },
  }
}

const PROGRAM = [
  'mkdir -p /tmp/www/pages',
  'echo front > /tmp/www/index.html',
  'echo page > /tmp/www/pages/index.html',
  'head -c 3000000 /dev/urandom > /tmp/www/bulk',
  'exec httpd -f -p 8080 -h /tmp/www',
].join('; ')

function objects(image: string): object[] {
  const labels = { app: 'pages' }
  const rbac = 'rbac.authorization.k8s.io'
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'pages-0', namespace: 'shop', labels },
      spec: {
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'main',
            image,
            imagePullPolicy: 'IfNotPresent',
            command: ['sh', '-c', PROGRAM],
            ports: [{ containerPort: 8080 }],
            readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
          },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'pages', namespace: 'shop' },
      spec: { selector: labels, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot', namespace: 'shop' } },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'e2e-roads' },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: rbac, kind: 'User', name: 'ana' }],
    },
    policyOf('AccessPolicy', 'e2e-pods', {
      operations: ['Proxy'],
      podSelector: { matchLabels: labels },
    }),
    policyOf('AccessPolicy', 'e2e-services', {
      operations: ['Proxy'],
      services: ['pages'],
      ports: [80],
    }),
    policyOf('AccessPolicy', 'e2e-tokens', {
      operations: ['TokenRequest'],
      serviceAccounts: ['robot'],
    }),
    policyOf('ClusterAccessPolicy', 'e2e-as', {
      operations: ['Impersonate'],
      impersonate: { users: ['cy'], groups: ['oncall'] },
    }),
  ]
}

beforeAll(async () => {
  shop = await openShop()
  for (const object of objects(shop.sandbox.cluster.demoImage)) await shop.apply(object)
  const nodes = await shop.admin(['get', 'nodes', '-o=jsonpath={.items[0].metadata.name}'])
  node = nodes.stdout
  const ready = await shop.admin(['wait', '-n', 'shop', 'pod/pages-0', '--for=condition=Ready'])
  if (ready.code !== 0) throw new Error(ready.stderr)
  await eventually('the policies', async () => {
    const list = await shop.admin(['get', 'apol,capol', '-A', '-o', 'json'])
    const { items } = JSON.parse(list.stdout) as { items: { status?: unknown }[] }
    return items.every(({ status }) => status !== undefined)
  })
}, COLD_START_MS)

afterAll(async () => {
  await shop.admin(['delete', 'clusterrolebinding', 'e2e-roads', '--ignore-not-found'])
  await shop.close()
}, 60_000)

async function raw(path: string): Promise<RunResult> {
  return await shop.ana(['get', '--raw', path], { keepBytes: 4_000_000 })
}

async function newest(operation: Operation): Promise<SessionDocument> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  return await eventually('a sealed record', async () => {
    const [last] = await sessions.find({ operation }).sort({ startedAt: -1 }).limit(1).toArray()
    return last?.end === null ? undefined : last
  })
}

describe('kubectl get --raw through the proxy', () => {
  it.each([
    ['a pod by its port', '/pods/pages-0:8080/proxy/', 'front\n'],
    ['a pod by its first port', '/pods/pages-0/proxy/', 'front\n'],
    ['a pod, by the redirect to its front page', '/pods/pages-0/proxy', 'front\n'],
    ['a pod, by a redirect of the program', '/pods/pages-0/proxy/pages', 'page\n'],
    ['a service by its port', '/services/pages:80/proxy/', 'front\n'],
    ['a service by the name of its port', '/services/http:pages:http/proxy/pages/', 'page\n'],
  ])('shows %s, as directly but for the guard', async (_name, path, text) => {
    expect(await raw(IN_SHOP + path)).toMatchObject({ code: 0, stdout: text })
    expect((await shop.admin(['get', '--raw', IN_SHOP + path])).stderr).toContain('is closed here')
  })

  it('carries every byte, and its digest is on record', async () => {
    const wanted = await shop.admin(['get', '--raw', `${IN_SHOP}/pods/pages-0`])
    expect(wanted.code).toBe(0)
    const shown = await raw(`${IN_SHOP}/pods/pages-0/proxy/bulk`)
    expect([shown.code, shown.bytes]).toEqual([0, 3_000_000])
    const record = await newest('Proxy')
    expect(record).toMatchObject({
      command: ['GET', '/bulk'],
      target: { pod: 'pages-0', port: 8080 },
      end: { outcome: 'Completed', bytes: { stdout: 3_000_000 } },
    })
    const digests = (await transcriptEvents(shop, record)).filter(({ type }) => type === 'digest')
    expect(digests.at(-1)).toMatchObject({ bytes: 3_000_000, sha256: shown.sha256 })
  })

  it.each([
    ['a page that is not there', '/pods/pages-0/proxy/nope', /could not find/],
    ['a service that no policy names', '/services/other:80/proxy/', /not found/i],
    ['a port that no policy names', '/services/pages:8080/proxy/', /PODGATE-1002/],
    ['another pod', '/pods/ledger-0:80/proxy/', /PODGATE-1002/],
  ])('refuses %s in words', async (_name, path, words) => {
    const result = await raw(IN_SHOP + path)
    expect([result.code, result.stderr]).toEqual([1, expect.stringMatching(words)])
  })

  it('opens no node, and where a policy opens one, none of its shells', async () => {
    const metrics = `/api/v1/nodes/${node}/proxy/healthz`
    expect((await raw(metrics)).stderr).toContain('PODGATE-1002')
    await shop.apply(
      policyOf('ClusterAccessPolicy', 'e2e-nodes', { operations: ['Proxy'], nodes: [node] }),
    )
    const shown = await eventually('the policy', async () => {
      const result = await raw(metrics)
      return !result.stderr.includes('PODGATE-1002') && result
    })
    // A node of the local cluster is on the loopback, which the API server itself never proxies to.
    expect(shown.stdout + shown.stderr).toMatch(/^ok$|address not allowed$/m)
    const shell = `/api/v1/nodes/${node}/proxy/containerLogs/shop/web-0/main`
    expect((await raw(shell)).stderr).toContain('PODGATE-1046')
  })
})

describe('kubectl create token', () => {
  it('gives one, and the record says for whom and how long but not which', async () => {
    const args = ['create', 'token', 'robot', '-n', 'shop', '--duration=20m', '--audience=x']
    const { code, stdout, stderr } = await shop.ana(args)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^eyJ/)
    const record = await newest('TokenRequest')
    expect(record).toMatchObject({
      command: ['--audience=x', '--duration=1200s'],
      target: { serviceAccount: 'robot', namespace: 'shop' },
      end: { outcome: 'Completed' },
    })
    const events = await transcriptEvents(shop, record)
    expect(JSON.stringify([record, events])).not.toContain(stdout.trim())
    const list = await shop.podgate('dpo', ['sessions', '-o', 'wide', '--limit', '1'])
    expect(list.stdout).toMatch(/sa\/robot +\(create token\)/)
  })

  it('gives none of another account, and none past the gateway', async () => {
    const other = await shop.ana(['create', 'token', 'shop', '-n', 'shop'])
    expect(other.stderr).toContain('PODGATE-1002')
    const direct = await shop.admin(['create', 'token', 'robot', '-n', 'shop'])
    expect(direct.stderr).toContain('is closed here')
  })
})

describe('kubectl --as', () => {
  const CY = ['--as=cy', '--as-group=oncall']

  it('is that person, where a policy and RBAC allow it', async () => {
    const args = ['auth', 'whoami', '-o=jsonpath={.status.userInfo.username}']
    const as = await shop.ana([...args, ...CY])
    expect(as).toMatchObject({ code: 0, stdout: 'cy' })
    expect((await shop.ana(args)).stdout).toBe('ana')
  })

  it.each([
    ['somebody else', ['get', 'pods', '-n', 'shop', '--as=bo'], 'PODGATE-1002'],
    ['another group', ['get', 'pods', '-n', 'shop', '--as=cy', '--as-group=x'], 'PODGATE-1002'],
    ['the cluster', ['get', 'pods', '-n', 'shop', '--as=system:admin'], 'PODGATE-1049'],
    ['them in a session', ['exec', 'tools-0', '-n', 'shop', ...CY, '--', 'id'], 'PODGATE-1015'],
    ['them in a log', ['logs', 'tools-0', '-n', 'shop', ...CY], 'PODGATE-1015'],
  ])('is not %s', async (_name, args, words) => {
    const result = await shop.ana(args)
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain(words)
  })
})

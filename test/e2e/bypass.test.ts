/**
 * Nobody gets into a pod without a decision that is on record: not by another verb, subresource,
 * transport or spelling, not as a cluster admin, not past the gateway.
 */
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { bypassMatrix, plainExec, POD, TRACE, type Attempt } from './support/bypass-matrix.ts'
import { rawRequest, type RawAnswer, type RawTarget } from './support/raw-request.ts'
import { COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { accessOf } from './support/token-of.ts'

let shop: Shop
let gateway: RawTarget
let apiServer: RawTarget
let matrix: Attempt[]

const AT_ONCE = 8

function allow(name: string, operation: string): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: 'shop' },
    spec: {
      effect: 'Allow',
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: { operations: [operation], podSelector: { matchLabels: { app: 'vault' } } },
    },
  }
}

/** In the cluster they may do everything, so that nothing but the gateway stands in their way. */
function admins(...people: string[]): object {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'e2e-bypass' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: people.map((name) => ({ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name })),
  }
}

function vault(image: string): object[] {
  const labels = { app: 'vault' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: POD, namespace: 'shop', labels },
      spec: {
        terminationGracePeriodSeconds: 1,
        automountServiceAccountToken: false,
        containers: [
          {
            name: 'main',
            image,
            imagePullPolicy: 'IfNotPresent',
            command: ['sh', '-c', 'echo open > /tmp/index.html; exec httpd -f -p 80 -h /tmp'],
            ports: [{ containerPort: 80 }],
          },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'vault', namespace: 'shop' },
      spec: { selector: labels, ports: [{ port: 80 }] },
    },
  ]
}

async function adminTarget(): Promise<RawTarget> {
  const config = parse(await readFile(shop.sandbox.json.admin.kubeconfig, 'utf8')) as {
    clusters: { cluster: Record<string, string> }[]
    users: { user: Record<string, string> }[]
  }
  const { cluster = {} } = config.clusters[0] ?? {}
  const { user = {} } = config.users[0] ?? {}
  const pem = (text = ''): string => Buffer.from(text, 'base64').toString()
  const { hostname, port } = new URL(cluster['server'] ?? '')
  return {
    host: hostname,
    port: Number(port),
    ca: pem(cluster['certificate-authority-data']),
    cert: pem(user['client-certificate-data']),
    key: pem(user['client-key-data']),
  }
}

beforeAll(async () => {
  shop = await openShop()
  const { url, caFile } = shop.sandbox.json.gateway
  const { hostname, port } = new URL(url)
  gateway = { host: hostname, port: Number(port), ca: await readFile(caFile, 'utf8') }
  apiServer = await adminTarget()
  const nodes = await shop.admin(['get', 'nodes', '-o=jsonpath={.items[0].metadata.name}'])
  matrix = bypassMatrix(nodes.stdout)
  for (const object of vault(shop.sandbox.cluster.demoImage)) await shop.apply(object)
  await shop.apply(admins('ana', 'cy'))
  await shop.apply(allow('e2e-vault-logs', 'Logs'))
  const ready = await shop.admin(['wait', '-n', 'shop', `pod/${POD}`, '--for=condition=Ready'])
  if (ready.code !== 0) throw new Error(ready.stderr)
  // A policy counts when it is compiled; then a log may be read.
  await eventually('logs', async () => (await shop.ana(['logs', '-n', 'shop', POD])).code === 0)
}, COLD_START_MS)

afterAll(async () => {
  await shop.admin(['delete', 'clusterrolebinding', 'e2e-bypass', '--ignore-not-found'])
  await shop.close()
}, 60_000)

interface Result {
  attempt: Attempt
  answer: RawAnswer
}

async function tryAll(
  attempts: Attempt[],
  target: RawTarget,
  authorization?: string,
): Promise<Result[]> {
  const host = `${target.host}:${target.port}`
  const results: Result[] = []
  const waiting = [...attempts]
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const answer = await rawRequest(target, next.bytes(host, authorization))
      results.push({ attempt: next, answer })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return results
}

/** What was let through, in the words of the answer. */
function opened(results: Result[]): string[] {
  return results
    .filter(({ answer: { code } }) => code === 101 || (code >= 200 && code < 300))
    .map(({ attempt, answer }) => `${attempt.name}: ${answer.text.slice(0, 200)}`)
}

describe('through the gateway', () => {
  it.each([
    ['dpo', 'nobody in the cluster and with no policy', false],
    ['ana', 'a cluster admin who may read logs', true],
    ['cy', 'a cluster admin with no policy', false],
  ] as const)(
    '%s, %s, gets in by none of at least 500 requests',
    async (person, _who, mayReadLogs) => {
      expect(matrix.length).toBeGreaterThanOrEqual(500)
      const { token } = await accessOf(shop, person)
      const results = await tryAll(matrix, gateway, `Bearer ${token}`)
      expect(opened(results.filter(({ attempt }) => !attempt.isRead))).toEqual([])
      const logs = results.filter(({ attempt }) => attempt.isLog)
      expect(opened(logs).length > 0).toBe(mayReadLogs)
      expect(results.filter(({ answer: { code } }) => code >= 500)).toEqual([])
    },
    60_000,
  )
})

it('straight to the API server a cluster admin gets in by none of them either', async () => {
  const results = await tryAll(
    matrix.filter(({ isForged }) => !isForged),
    apiServer,
  )
  expect(opened(results.filter(({ attempt }) => !attempt.isRead))).toEqual([])
  // It is the guard that says no, and not a mistake of the matrix.
  const closed = results.filter(({ answer: { text } }) => text.includes('is closed here'))
  expect(closed.length).toBeGreaterThan(20)
}, 60_000)

describe('what is left of it', () => {
  interface AuditEvent {
    stage: string
    verb: string
    requestURI: string
    objectRef?: { resource?: string; subresource?: string; name?: string }
    user: { username: string }
    impersonatedUser?: { username: string; extra?: Record<string, string[]> }
    responseStatus?: { code?: number }
  }

  const ROADS = new Set(['exec', 'attach', 'portforward', 'proxy', 'ephemeralcontainers', 'token'])

  it('for each request that the API server let through there is a session on record', async () => {
    const sessions = shop.mongo
      .db(shop.sandbox.json.mongodb.database)
      .collection<SessionDocument>('sessions')
    const known = new Set((await sessions.find({}).toArray()).map(({ _id }) => _id))
    const audit = await readFile(shop.sandbox.cluster.auditLog ?? '', 'utf8')
    const through = audit
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as AuditEvent)
      .filter(
        ({ responseStatus: { code = 0 } = {} }) => code === 101 || (code >= 200 && code < 300),
      )
    const isOfGateway = ({ user }: AuditEvent): boolean =>
      user.username === 'system:serviceaccount:podgate-system:podgate'
    const withoutRecord = through
      .filter((event) => {
        const { subresource = '', name } = event.objectRef ?? {}
        // Straight at the API server a log is a read; through the gateway it is a session.
        if (subresource === 'log') return isOfGateway(event)
        const isRead = subresource === 'ephemeralcontainers' && event.verb === 'get'
        // Tried out by the gateway before it decides: nothing comes of it.
        const isTrial = event.requestURI.includes('dryRun=All') && isOfGateway(event)
        return ROADS.has(subresource) && name !== 'podgate' && !isRead && !isTrial
      })
      .filter(({ impersonatedUser }) => {
        const mark = impersonatedUser?.extra?.['podgate.dev/session'] ?? []
        return mark.length !== 1 || !known.has(mark[0] ?? '')
      })
      .map(({ verb, requestURI, user }) => `${user.username} ${verb} ${requestURI}`)
    expect(withoutRecord).toEqual([])
    expect(through.some(({ objectRef }) => objectRef?.subresource === 'log')).toBe(true)
  })

  it('no command has run, and no container was added', async () => {
    const pod = await shop.admin(['get', 'pod', '-n', 'shop', POD, '-o', 'json'])
    expect(JSON.parse(pod.stdout)).not.toHaveProperty('spec.ephemeralContainers')
    await shop.apply(allow('e2e-vault-exec', 'Exec'))
    const look = ['exec', '-n', 'shop', POD, '--', 'ls', '/tmp']
    const before = await eventually('a way in', async () => {
      const result = await shop.ana(look)
      return result.code === 0 && result
    })
    expect(before.stdout).toBe('index.html\n')
    // And the same request, once it is allowed, does run: the matrix would have left its trace.
    const { token } = await accessOf(shop, 'ana')
    const host = `${gateway.host}:${gateway.port}`
    const answer = await rawRequest(gateway, plainExec(host, `Bearer ${token}`))
    expect(answer.code).toBe(101)
    await eventually('the trace', async () =>
      (await shop.ana(look)).stdout.includes(TRACE.replace('/tmp/', '')),
    )
  })
})

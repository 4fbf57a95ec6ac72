/** One sandbox for the tests of one file. */
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { MongoClient } from 'mongodb'

import { startSandbox, type Sandbox } from '../../../lib/sandbox/sandbox.ts'
import { kubectlAs, run, type Kubectl, type RunOptions, type RunResult } from './kubectl.ts'

export interface Shop {
  sandbox: Sandbox
  ana: Kubectl
  bo: Kubectl
  cy: Kubectl
  dpo: Kubectl
  admin: Kubectl
  approve(person: 'ana' | 'bo' | 'cy' | 'dpo', args: string[]): Promise<RunResult>
  podgate(
    person: 'ana' | 'bo' | 'cy' | 'dpo',
    args: string[],
    options?: RunOptions,
  ): Promise<RunResult>
  /** kubectl of another version, or as somebody else. */
  kubectl(program: string, person: 'ana' | 'bo' | 'cy' | 'dpo'): Kubectl
  apply(manifest: object): Promise<void>
  mongo: MongoClient
  close(): Promise<void>
}

/** From an empty cache the Kubernetes programs are built first. */
export const COLD_START_MS: number = 25 * 60_000

export async function openShop(): Promise<Shop> {
  const dir = await mkdtemp(join(tmpdir(), 'podgate-e2e-'))
  const sandbox = await startSandbox({ dir: join(dir, 'sandbox'), audit: true })
  const { json, folder } = sandbox
  const cache = join(dir, 'kubectl-cache')
  const as = (person: 'ana' | 'bo' | 'cy' | 'dpo', program = json.kubectl): Kubectl =>
    kubectlAs(program, json.users[person].kubeconfig, cache)
  const admin = kubectlAs(json.kubectl, json.admin.kubeconfig, cache)
  const plugin = async (
    name: string,
    person: keyof typeof json.users,
    args: string[],
    options: RunOptions = {},
  ) =>
    await run(join(folder.bin, name), args, {
      ...options,
      env: { KUBECONFIG: json.users[person].kubeconfig },
    })
  const mongo = new MongoClient(json.mongodb.uri, { serverSelectionTimeoutMS: 3000 })
  return {
    sandbox,
    ana: as('ana'),
    bo: as('bo'),
    cy: as('cy'),
    dpo: as('dpo'),
    admin,
    kubectl: (program, person) => as(person, program),
    approve: async (person, args) => await plugin('kubectl-approve', person, args),
    podgate: async (person, args, options) =>
      await plugin('kubectl-podgate', person, args, options),
    async apply(manifest) {
      const result = await admin(['apply', '-f', '-'], { input: JSON.stringify(manifest) })
      if (result.code !== 0) throw new Error(result.stderr)
    },
    mongo,
    async close() {
      await mongo.close()
      await sandbox.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A plain HTTPS request without any credentials. */
export async function getAnonymously(url: string, ca: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    get(url, { ca }, (response) => {
      let body = ''
      response.on('data', (chunk: Buffer) => (body += chunk.toString()))
      response.on('end', () => resolve(body))
    }).on('error', reject)
  })
}

/** Polls what cannot be waited for by an event. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await probe()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Names of the requests in the shop that nobody has decided yet. */
export async function pendingRequests(shop: Shop): Promise<string[]> {
  const { stdout } = await shop.admin(['get', 'apreq', '-n', 'shop', '-o', 'json'])
  const list = JSON.parse(stdout) as {
    items: { metadata: { name: string }; status?: { conditions?: unknown[] } }[]
  }
  return list.items
    .filter((item) => (item.status?.conditions ?? []).length === 0)
    .map((item) => item.metadata.name)
}

export const BULK_POLICY: object = {
  apiVersion: 'podgate.dev/v1alpha1',
  kind: 'AccessPolicy',
  metadata: { name: 'bulk', namespace: 'shop' },
  spec: {
    effect: 'Allow',
    subjects: [{ kind: 'Group', name: 'dev' }],
    match: { operations: ['Exec', 'Attach'], podSelector: { matchLabels: { app: 'bulk' } } },
  },
}

/** A pod nothing is masked for, so that digests can be compared. */
export function bulkPod(image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'bulk-0', namespace: 'shop', labels: { app: 'bulk' } },
    spec: {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'],
        },
      ],
    },
  }
}

/**
 * The gateway's own sign-in at the API server: a kubeconfig with its service account's token, written
 * anew at half of the token's life; the gateway reads it again each minute.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parse, stringify } from 'yaml'

import { isObject } from '../api/json-object.ts'
import { errorText } from '../errors/gateway-error.ts'
import { type KubectlOptions, runKubectl } from './run-kubectl.ts'

export const GATEWAY_NAMESPACE = 'podgate-system'
const SERVICE_ACCOUNT = 'podgate'
const RETRY_MS = 30_000

export interface GatewayAccountOptions {
  folder: string
  admin: KubectlOptions
  onError: (message: string) => void
}

export interface GatewayAccount {
  kubeconfig: string
  close(): void
}

export async function openGatewayAccount(options: GatewayAccountOptions): Promise<GatewayAccount> {
  const kubeconfig = join(options.folder, 'gateway-kubeconfig.yaml')
  const lifeMs = await renew(kubeconfig, options)
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  const schedule = (afterMs: number): void => {
    if (isClosed) return
    // setTimeout takes no more than 24.8 days; a token of a week is far from that.
    timer = setTimeout(() => {
      renew(kubeconfig, options).then(
        (freshLifeMs) => schedule(freshLifeMs / 2),
        (error: unknown) => {
          options.onError(`the gateway's token could not be renewed: ${errorText(error)}`)
          schedule(RETRY_MS)
        },
      )
    }, afterMs)
    timer.unref()
  }
  schedule(lifeMs / 2)
  return {
    kubeconfig,
    close: () => {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

/** Gives the life of the token: the API server may grant less than was asked for. */
async function renew(file: string, options: GatewayAccountOptions): Promise<number> {
  const answer: unknown = JSON.parse(
    await runKubectl(
      ['create', 'token', SERVICE_ACCOUNT, '-n', GATEWAY_NAMESPACE, '--duration=168h', '-ojson'],
      options.admin,
    ),
  )
  const { token, expirationTimestamp } = recordAt(answer, 'status')
  if (typeof token !== 'string' || typeof expirationTimestamp !== 'string') {
    throw new Error('the API server gave no token for the gateway')
  }
  await writeKubeconfig(file, token, options.admin.kubeconfig)
  return Math.max(60_000, Date.parse(expirationTimestamp) - Date.now())
}

/** The cluster is the admin's current one; of the admin's credentials nothing is taken over. */
async function writeKubeconfig(
  file: string,
  token: string,
  adminKubeconfig: string,
): Promise<void> {
  const admin: unknown = parse(await readFile(adminKubeconfig, 'utf8'))
  const context = recordAt(
    namedAt(admin, 'contexts', recordOf(admin)['current-context']),
    'context',
  )
  const cluster = namedAt(admin, 'clusters', context['cluster'])
  const name = 'sandbox'
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: cluster['cluster'] }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, stringify(config), { mode: 0o600 })
  await rename(draft, file)
}

function namedAt(config: unknown, list: string, name: unknown): Record<string, unknown> {
  const entries = recordOf(config)[list]
  const found: unknown = Array.isArray(entries)
    ? entries.find((entry: unknown) => recordOf(entry)['name'] === name)
    : undefined
  if (found === undefined) throw new Error(`the admin kubeconfig names no ${list} ${String(name)}`)
  return recordOf(found)
}

function recordAt(value: unknown, key: string): Record<string, unknown> {
  return recordOf(recordOf(value)[key])
}

function recordOf(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

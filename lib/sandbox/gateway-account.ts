/**
 * The gateway's own sign-in at the API server: its service account's token, in a file that is
 * written anew at half of the token's life, and a kubeconfig that names the file.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parse, stringify } from 'yaml'

import { errorText } from '../errors/gateway-error.ts'
import { runKubectl } from './run-kubectl.ts'

export const GATEWAY_NAMESPACE = 'podgate-system'
const SERVICE_ACCOUNT = 'podgate'
const RETRY_MS = 30_000

export interface GatewayAccountOptions {
  folder: string
  kubectl: string
  adminKubeconfig: string
  onError: (message: string) => void
}

export interface GatewayAccount {
  kubeconfig: string
  close(): void
}

export async function openGatewayAccount(options: GatewayAccountOptions): Promise<GatewayAccount> {
  const tokenFile = join(options.folder, 'gateway-token')
  const kubeconfig = join(options.folder, 'gateway-kubeconfig.yaml')
  let lifeMs = await renewToken(tokenFile, options)
  await writeKubeconfig(kubeconfig, tokenFile, options.adminKubeconfig)
  let timer: NodeJS.Timeout | undefined
  const schedule = (afterMs: number): void => {
    // setTimeout takes no more than 24.8 days; a token of a week is far from that.
    timer = setTimeout(() => {
      renewToken(tokenFile, options).then(
        (fresh) => {
          lifeMs = fresh
          schedule(lifeMs / 2)
        },
        (error: unknown) => {
          options.onError(`the gateway's token could not be renewed: ${errorText(error)}`)
          schedule(RETRY_MS)
        },
      )
    }, afterMs)
    timer.unref()
  }
  schedule(lifeMs / 2)
  return { kubeconfig, close: () => clearTimeout(timer) }
}

/** Gives the life of the token: the API server may grant less than was asked for. */
async function renewToken(file: string, options: GatewayAccountOptions): Promise<number> {
  const answer: unknown = JSON.parse(
    await runKubectl(
      ['create', 'token', SERVICE_ACCOUNT, '-n', GATEWAY_NAMESPACE, '--duration=168h', '-ojson'],
      { kubectl: options.kubectl, kubeconfig: options.adminKubeconfig },
    ),
  )
  const { token, expirationTimestamp } = recordAt(answer, 'status')
  if (typeof token !== 'string' || typeof expirationTimestamp !== 'string') {
    throw new Error('the API server gave no token for the gateway')
  }
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, token, { mode: 0o600 })
  await rename(draft, file)
  return Math.max(60_000, Date.parse(expirationTimestamp) - Date.now())
}

/** The cluster is the admin's current one; of the admin's credentials nothing is taken over. */
async function writeKubeconfig(
  file: string,
  tokenFile: string,
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
    users: [{ name, user: { tokenFile } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
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
  return isRecord(value) ? value : {}
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

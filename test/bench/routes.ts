/** The three ways to one pod: straight, through `kubectl proxy`, through the gateway. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ConnectionOptions } from 'node:tls'
import { promisify } from 'node:util'

import { parse, stringify } from 'yaml'

import { loadEndpoint } from '../../lib/kube/endpoint.ts'
import type { SandboxJson } from '../../lib/sandbox/sandbox-json.ts'

export type RouteName = 'direct' | 'kubectl proxy' | 'gateway'

export const ROUTE_NAMES: readonly RouteName[] = ['direct', 'kubectl proxy', 'gateway']

export interface Route {
  name: RouteName
  /** With the credentials inside: no plugin runs, so kubectl starts alike on all three. */
  kubeconfig: string
  /** Of the API, without a slash at its end. */
  url: string
  headers: Record<string, string>
  tls: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'>
}

export interface Routes {
  all: readonly Route[]
  gateway: Route
  close(): Promise<void>
}

const run = promisify(execFile)

export async function openRoutes(json: SandboxJson, dir: string): Promise<Routes> {
  const gateway = await gatewayRoute(json, dir)
  const direct = await directRoute(json)
  const proxy = await startKubectlProxy(json)
  try {
    const through = await proxyRoute(proxy.url, dir)
    return { all: [direct, through, gateway], gateway, close: proxy.close }
  } catch (error) {
    await proxy.close()
    throw error
  }
}

async function directRoute(json: SandboxJson): Promise<Route> {
  const { kubeconfig } = json.admin
  const { host, port, basePath, tls, authorization } = await loadEndpoint({ kubeconfig })
  const bearer = await authorization()
  const { ca, cert, key, servername } = tls
  return {
    name: 'direct',
    kubeconfig,
    url: `https://${host.includes(':') ? `[${host}]` : host}:${port}${basePath}`,
    headers: bearer === undefined ? {} : { authorization: bearer },
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
    },
  }
}

async function gatewayRoute(json: SandboxJson, dir: string): Promise<Route> {
  const token = await tokenOf(json.users.ana.kubeconfig)
  const ca = await readFile(json.gateway.caFile)
  const kubeconfig = join(dir, 'gateway.kubeconfig')
  const cluster = {
    server: json.gateway.url,
    'certificate-authority-data': ca.toString('base64'),
  }
  await writeKubeconfig(kubeconfig, cluster, { token })
  return {
    name: 'gateway',
    kubeconfig,
    url: json.gateway.url,
    headers: { authorization: `Bearer ${token}` },
    tls: { ca },
  }
}

async function proxyRoute(url: string, dir: string): Promise<Route> {
  const kubeconfig = join(dir, 'proxy.kubeconfig')
  await writeKubeconfig(kubeconfig, { server: url }, {})
  return { name: 'kubectl proxy', kubeconfig, url, headers: {}, tls: {} }
}

async function writeKubeconfig(file: string, cluster: object, user: object): Promise<void> {
  const name = 'bench'
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  await writeFile(file, stringify(config), { mode: 0o600 })
}

interface PluginKubeconfig {
  users: { user: { exec: { command: string; args: string[]; apiVersion: string } } }[]
}

/** Runs the credential plugin once, as kubectl would at each start. */
async function tokenOf(kubeconfig: string): Promise<string> {
  const config = parse(await readFile(kubeconfig, 'utf8')) as PluginKubeconfig
  const plugin = config.users[0]?.user.exec
  if (plugin === undefined) throw new Error(`${kubeconfig} names no credential plugin`)
  const request = { apiVersion: plugin.apiVersion, kind: 'ExecCredential', spec: {} }
  const { stdout } = await run(plugin.command, plugin.args, {
    env: { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(request) },
  })
  const credential = JSON.parse(stdout) as { status?: { token?: string } }
  const token = credential.status?.token
  if (token === undefined) throw new Error('the credential plugin gave no token')
  return token
}

/** Its defaults refuse exec and attach: an empty list of rejected paths lets them through. */
async function startKubectlProxy(
  json: SandboxJson,
): Promise<{ url: string; close: () => Promise<void> }> {
  const args = [
    `--kubeconfig=${json.admin.kubeconfig}`,
    'proxy',
    '--port=0',
    '--address=127.0.0.1',
    '--reject-paths=',
  ]
  const child = spawn(json.kubectl, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
  })
  // A signal ends this process by way of the cluster's own clean-up, which knows nothing of it.
  const onExit = (): void => void child.kill('SIGTERM')
  process.once('exit', onExit)
  const url = await Promise.race([
    servingUrl(child),
    ended.then(() => Promise.reject(new Error('kubectl proxy ended before it served'))),
  ])
  return {
    url,
    async close() {
      process.off('exit', onExit)
      child.kill('SIGTERM')
      await ended
    },
  }
}

async function servingUrl(child: ChildProcess): Promise<string> {
  await once(child, 'spawn')
  if (child.stdout === null) throw new Error('kubectl proxy has no output')
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /127\.0\.0\.1:\d+/u.exec(line)?.[0]
    if (address !== undefined) return `http://${address}`
  }
  return await new Promise<string>(() => undefined)
}

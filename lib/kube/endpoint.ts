/**
 * Where the API server is and how the gateway itself signs in to it.
 *
 * `lib/kube` holds everything that talks to the API server. May import:
 * errors, api, streams, spdy, websocket.
 */
import { readFileSync } from 'node:fs'
import type { RequestOptions } from 'node:https'
import { dirname, resolve } from 'node:path'
import type { TLSSocketOptions } from 'node:tls'

import { KubeConfig } from '@kubernetes/client-node'
import { parse } from 'yaml'

import { GatewayError, errorText } from '../errors/gateway-error.ts'

/** TLS material towards the API server; what is absent takes Node's default. */
export interface EndpointTls {
  ca?: string | Buffer
  cert?: string | Buffer
  key?: string | Buffer
  servername?: string
  rejectUnauthorized?: boolean
}

export interface ApiEndpoint {
  host: string
  port: number
  /** Path prefix of the server URL without a slash at its end; usually empty. */
  basePath: string
  tls: EndpointTls
  /** The Authorization header of the gateway's own account, or undefined with a client certificate. */
  authorization(): Promise<string | undefined>
}

/** client-go re-reads token files each minute; projected service-account tokens rotate. */
const CREDENTIAL_TTL_MS = 60_000

interface Source {
  kubeconfig: string | undefined
  context: string | undefined
}

function whereOf({ kubeconfig }: Source): string {
  return kubeconfig ?? 'the service account of this pod'
}

function unusable(source: Source, why: string, cause?: unknown): GatewayError {
  return new GatewayError('Invalid', `cluster.kubeconfig: ${whereOf(source)} ${why}`, { cause })
}

/** client-node knows `tokenFile` only for the service account of a pod. */
function tokenFileOf(text: string, user: string): string | undefined {
  const { users } = parse(text) as { users?: { name?: string; user?: { tokenFile?: string } }[] }
  return users?.find(({ name }) => name === user)?.user?.tokenFile
}

function loadFile(file: string, context: string | undefined): KubeConfig {
  const config = new KubeConfig()
  config.loadFromFile(file)
  if (context !== undefined) config.setCurrentContext(context)
  const user = config.getCurrentUser()
  const tokenFile = user === null ? undefined : tokenFileOf(readFileSync(file, 'utf8'), user.name)
  if (user === null || tokenFile === undefined) return config
  const authProvider = {
    name: 'tokenFile',
    config: { tokenFile: resolve(dirname(file), tokenFile) },
  }
  config.users = config.users.map((each) => (each === user ? { ...each, authProvider } : each))
  return config
}

function loadKubeConfig(source: Source): KubeConfig {
  if (source.kubeconfig !== undefined) return loadFile(source.kubeconfig, source.context)
  const config = new KubeConfig()
  config.loadFromCluster()
  if (source.context !== undefined) config.setCurrentContext(source.context)
  return config
}

async function readOptions(config: KubeConfig): Promise<RequestOptions & TLSSocketOptions> {
  const options: RequestOptions & TLSSocketOptions = { headers: {} }
  await config.applyToHTTPSOptions(options)
  return options
}

function authorizationOf(options: RequestOptions): string | undefined {
  const headers = options.headers
  if (headers === undefined || Array.isArray(headers)) return undefined
  const value = (headers as Record<string, unknown>)['Authorization']
  return typeof value === 'string' ? value.trim() : undefined
}

function tlsOf(options: RequestOptions & TLSSocketOptions): EndpointTls {
  const tls: EndpointTls = {}
  if (typeof options.ca === 'string' || Buffer.isBuffer(options.ca)) tls.ca = options.ca
  if (typeof options.cert === 'string' || Buffer.isBuffer(options.cert)) tls.cert = options.cert
  if (typeof options.key === 'string' || Buffer.isBuffer(options.key)) tls.key = options.key
  const { servername } = options as { servername?: unknown }
  if (typeof servername === 'string') tls.servername = servername
  if (options.rejectUnauthorized === false) tls.rejectUnauthorized = false
  return tls
}

function addressOf(source: Source, config: KubeConfig): URL {
  const server = config.getCurrentCluster()?.server
  if (server === undefined) throw unusable(source, 'has no current cluster')
  const url = URL.parse(server)
  if (url === null)
    throw unusable(source, `has ${JSON.stringify(server)} as server, which is no URL`)
  if (url.protocol !== 'https:') {
    throw unusable(source, `points at ${url.protocol}//, only https is accepted`)
  }
  return url
}

async function readSource(source: Source): Promise<[URL, RequestOptions & TLSSocketOptions]> {
  try {
    const config = loadKubeConfig(source)
    return [addressOf(source, config), await readOptions(config)]
  } catch (error) {
    if (GatewayError.is(error)) throw error
    throw unusable(source, `cannot be used: ${errorText(error)}`, error)
  }
}

/**
 * Reads a kubeconfig (or, without a file, the pod's service account).
 *
 * @throws GatewayError Invalid when the file names no usable cluster.
 */
export async function loadEndpoint(options: {
  kubeconfig?: string
  context?: string
  now?: () => number
}): Promise<ApiEndpoint> {
  const now = options.now ?? Date.now
  const source: Source = { kubeconfig: options.kubeconfig, context: options.context }
  const [url, first] = await readSource(source)
  let cached = { value: authorizationOf(first), at: now() }
  let renewal: Promise<void> | undefined

  async function renew(): Promise<void> {
    try {
      const [, fresh] = await readSource(source)
      cached = { value: authorizationOf(fresh), at: now() }
    } catch {
      // Being rewritten, or gone: the API server will tell when the old credential has ended.
    } finally {
      renewal = undefined
    }
  }

  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 443 : Number(url.port),
    basePath: url.pathname.replace(/\/+$/, ''),
    tls: tlsOf(first),
    async authorization() {
      if (now() - cached.at > CREDENTIAL_TTL_MS) await (renewal ??= renew())
      return cached.value
    },
  }
}

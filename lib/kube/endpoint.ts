/**
 * Where the API server is and how the gateway itself signs in to it.
 *
 * `lib/kube` holds everything that talks to the API server. May import:
 * errors, api, streams, spdy, websocket.
 */
import type { RequestOptions } from 'node:https'
import type { TLSSocketOptions } from 'node:tls'

import { KubeConfig } from '@kubernetes/client-node'

import { GatewayError } from '../errors/gateway-error.ts'

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

function loadKubeConfig(file: string | undefined, context: string | undefined): KubeConfig {
  const config = new KubeConfig()
  if (file === undefined) config.loadFromCluster()
  else config.loadFromFile(file)
  if (context !== undefined) config.setCurrentContext(context)
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
  const config = loadKubeConfig(options.kubeconfig, options.context)
  const server = config.getCurrentCluster()?.server
  const where = options.kubeconfig ?? 'the service account of this pod'
  if (server === undefined) {
    throw new GatewayError('Invalid', `cluster.kubeconfig: ${where} has no current cluster`)
  }
  const url = new URL(server)
  if (url.protocol !== 'https:') {
    throw new GatewayError(
      'Invalid',
      `cluster.kubeconfig: ${where} points at ${url.protocol}//, only https is accepted`,
    )
  }
  const first = await readOptions(config)
  let cached = { value: authorizationOf(first), at: now() }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 443 : Number(url.port),
    basePath: url.pathname.replace(/\/+$/, ''),
    tls: tlsOf(first),
    async authorization() {
      if (now() - cached.at > CREDENTIAL_TTL_MS) {
        const fresh = await readOptions(loadKubeConfig(options.kubeconfig, options.context))
        cached = { value: authorizationOf(fresh), at: now() }
      }
      return cached.value
    },
  }
}

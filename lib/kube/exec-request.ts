/**
 * The request for one exec or attach, rebuilt from what policy has decided on. PURE.
 *
 * Nothing of the client's own query string or headers is passed on: duplicate
 * and unknown parameters are read differently by different servers.
 * Source: k8s.io/api core/v1 PodExecOptions, PodAttachOptions.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { expectedStreams, type StreamName } from '../streams/channel.ts'

export interface ExecTarget {
  namespace: string
  pod: string
  subresource: 'exec' | 'attach'
  container: string
  /** Empty for attach. */
  command: readonly string[]
  stdin: boolean
  stdout: boolean
  stderr: boolean
  tty: boolean
}

/** RFC 1123 subdomain. `..` must never reach a URL parser, which would resolve it, `%2e%2e` included. */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const MAX_NAME = 253

function segment(what: string, name: string): string {
  if (name.length <= MAX_NAME && OBJECT_NAME.test(name)) return name
  throw new GatewayError(
    'BadRequest',
    `${what} ${JSON.stringify(name.slice(0, 64))} is no name of an object`,
  )
}

function parameter(name: string, value: string): string {
  try {
    return `${name}=${encodeURIComponent(value)}`
  } catch (error) {
    throw new GatewayError('BadRequest', `${name} is not valid UTF-8`, { cause: error })
  }
}

/** Path and query below the endpoint's `basePath`. */
export function execPath(target: ExecTarget): string {
  const exec = target.subresource === 'exec'
  const query = [
    ...(exec ? target.command.map((word) => parameter('command', word)) : []),
    parameter('container', target.container),
    ...(['stdin', 'stdout', 'tty'] as const)
      .filter((name) => target[name])
      .map((name) => `${name}=true`),
    // With a terminal stderr is never a stream of its own; asking for both is refused by some runtimes.
    ...(target.stderr && !target.tty ? ['stderr=true'] : []),
  ]
  const namespace = segment('namespace', target.namespace)
  const pod = segment('pod', target.pod)
  return `/api/v1/namespaces/${namespace}/pods/${pod}/${target.subresource}?${query.join('&')}`
}

/** The ports are named later, by each stream. */
export function forwardPath(namespace: string, pod: string): string {
  return `/api/v1/namespaces/${segment('namespace', namespace)}/pods/${segment('pod', pod)}/portforward`
}

/** The channels the upstream session has. */
export function execStreams(target: ExecTarget): StreamName[] {
  return expectedStreams(target)
}

/** What the handshake itself sets, and what says how a connection is used. */
const OURS = new Set([
  'authorization',
  'connection',
  'content-length',
  'host',
  'proxy-authorization',
  'transfer-encoding',
  'upgrade',
  'x-stream-protocol-version',
])

/** The caller's headers without any that belong to the handshake, plus the gateway's own account. */
export function dialHeaders(
  given: Readonly<Record<string, string | string[]>>,
  authorization: string | undefined,
): Record<string, string | string[]> {
  const headers = Object.fromEntries(
    Object.entries(given).filter(([name]) => {
      const lower = name.toLowerCase()
      return !OURS.has(lower) && !lower.startsWith('sec-websocket-')
    }),
  )
  return authorization === undefined ? headers : { ...headers, authorization }
}

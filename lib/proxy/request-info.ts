/**
 * What a request asks of the Kubernetes API. PURE.
 *
 * `lib/proxy` carries one request from socket to close. May import: levels 0-4.
 *
 * The path is parsed once, here, and rebuilt for upstream from the parsed
 * segments, so that the gateway and the API server cannot read it differently.
 * Anything ambiguous is refused: empty segments, dot segments, encoded slashes,
 * control characters, bytes outside ASCII, matrix parameters, capitals where
 * Kubernetes has none, a query that Go and JavaScript split differently.
 * Rules: k8s.io/apiserver pkg/endpoints/request/requestinfo.go; test/fuzz holds
 * this file against that one.
 */
import { GatewayError } from '../errors/gateway-error.ts'

export interface RequestInfo {
  method: string
  /** The path as sent upstream: decoded once, encoded once. */
  path: string
  /**
   * `path` ends in a slash. Kept only behind the `proxy` of pods, services and nodes, where the
   * program behind it may serve `/` and nothing, or a redirect, for the empty path.
   */
  trailingSlash: boolean
  /** Raw query without `?`; only passed on for requests that are not streams. */
  query: string
  isResourceRequest: boolean
  /** `api` or `apis` for resource requests. */
  apiPrefix?: string
  apiGroup?: string
  apiVersion?: string
  namespace?: string
  resource?: string
  name?: string
  /** All that follows the name, e.g. `exec` or `proxy/metrics`. */
  subresource?: string
  /** Decoded; the first one routes our own API. */
  segments: string[]
}

const MAX_PATH_CHARS = 4096
/** What Kubernetes names, versions and non-resource paths are made of. `:` stands in `scheme:name:port`. */
const SEGMENT = /^[A-Za-z0-9._~:@!$&'()*+,=%-]+$/

function badPath(why: string): GatewayError {
  return new GatewayError('BadRequest', `the request path is not acceptable: ${why}`, { id: 1010 })
}

function decodeSegment(raw: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(raw)
  } catch {
    throw badPath('it holds a broken percent escape')
  }
  if (decoded === '') throw badPath('it holds an empty segment')
  if (decoded === '.' || decoded === '..') throw badPath('it holds a dot segment')
  if (!SEGMENT.test(decoded))
    throw badPath('a segment holds a character that no Kubernetes path needs')
  if (decoded.includes('%')) throw badPath('it is percent-encoded twice')
  return decoded
}

function splitPath(path: string): string[] {
  if (!path.startsWith('/')) throw badPath('it does not start with a slash')
  if (path.length > MAX_PATH_CHARS) throw badPath('it is too long')
  if (path === '/') return []
  // The API server serves `/api/` like `/api`; client-go sends both.
  const trimmed = path.endsWith('/') ? path.slice(1, -1) : path.slice(1)
  return trimmed.split('/').map(decodeSegment)
}

/** Percent-encodes what a path segment may not hold, and nothing else. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(/%(3A|40|24|26|2B|2C|3D)/g, (escape) =>
    decodeURIComponent(escape),
  )
}

interface ResourceParts {
  namespace?: string
  resource?: string
  name?: string
  subresource?: string
}

/** Subresources of a namespace itself; any other third part is a resource inside of it. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])

/** @param rest what follows the version, at least one segment */
function resourceParts(rest: string[]): ResourceParts {
  // No API server of this decade serves it, and its reader finds another resource than ours would.
  if (rest[0] === 'proxy') throw badPath('/proxy/ before the resource is no longer in use')
  const isWatch = rest[0] === 'watch'
  const parts = isWatch ? rest.slice(1) : rest
  const [first, namespace, third] = parts
  if (first === undefined) throw badPath('it names nothing to watch')
  const inNamespace = first === 'namespaces' && namespace !== undefined
  const entered = inNamespace && third !== undefined && !NAMESPACE_SUBRESOURCES.has(third)
  const [resource = '', name, ...sub] = entered ? parts.slice(2) : parts
  if (isWatch && sub.length > 0) throw badPath('/watch/ does not go with a subresource')
  return {
    ...(inNamespace ? { namespace } : {}),
    resource,
    ...(name === undefined ? {} : { name }),
    ...(sub.length === 0 ? {} : { subresource: sub.join('/') }),
  }
}

function checkQuery(query: string): void {
  if (/[^\x21-\x7e]/.test(query) || query.includes('#'))
    throw badPath('its query holds a character that is not allowed')
  // Go drops a pair that holds one (golang/go#25192), others split the pair there.
  if (query.includes(';')) throw badPath('its query holds a semicolon; write %3B')
  try {
    decodeURIComponent(query)
  } catch {
    // Go drops a pair with a broken escape; URLSearchParams takes it literally.
    throw badPath('its query holds a broken percent escape, or bytes that are not UTF-8')
  }
}

/** The API server compares case; what stands behind it, or behind another gateway, may not. */
function checkCase(...words: (string | undefined)[]): void {
  if (words.some((word) => word !== undefined && /[A-Z]/.test(word)))
    throw badPath('it holds a capital letter where Kubernetes has none')
}

type ResourcePath = Pick<RequestInfo, 'apiPrefix' | 'apiGroup' | 'apiVersion'> & ResourceParts

/** Undefined: no resource request, e.g. discovery or `/healthz`. */
function resourcePath([prefix, ...rest]: string[]): ResourcePath | undefined {
  if (prefix === 'api') {
    const [apiVersion, ...more] = rest
    if (apiVersion === undefined || more.length === 0) return undefined
    const parts = resourceParts(more)
    checkCase(apiVersion, parts.resource, parts.subresource?.split('/')[0])
    return { apiPrefix: 'api', apiGroup: '', apiVersion, ...parts }
  }
  if (prefix === 'apis') {
    const [apiGroup, apiVersion, ...more] = rest
    if (apiGroup === undefined || apiVersion === undefined || more.length === 0) return undefined
    // Resources here may be anything: those of external.metrics.k8s.io are names of metrics.
    checkCase(apiGroup, apiVersion)
    return { apiPrefix: 'apis', apiGroup, apiVersion, ...resourceParts(more) }
  }
  if (prefix !== undefined && /^apis?$/i.test(prefix)) checkCase(prefix)
  return undefined
}

const PROXIED = new Set(['pods', 'services', 'nodes'])

function isProxied({ apiPrefix, resource = '', subresource = '' }: ResourcePath): boolean {
  return apiPrefix === 'api' && PROXIED.has(resource) && /^proxy(?:\/|$)/.test(subresource)
}

/**
 * @param target the request target as it stood in the request line
 * @throws GatewayError BadRequest for anything two parsers could read differently.
 */
export function parseRequestInfo(method: string, target: string): RequestInfo {
  const mark = target.indexOf('?')
  const rawPath = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark + 1)
  checkQuery(query)
  const segments = splitPath(rawPath)
  const resource = resourcePath(segments)
  const trailingSlash = resource !== undefined && rawPath.endsWith('/') && isProxied(resource)
  const path = `/${segments.map(encodeSegment).join('/')}${trailingSlash ? '/' : ''}`
  const isResourceRequest = resource !== undefined
  return { method, path, trailingSlash, query, isResourceRequest, ...resource, segments }
}

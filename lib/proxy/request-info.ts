/**
 * What a request asks of the Kubernetes API. PURE.
 *
 * `lib/proxy` carries one request from socket to close. May import: levels 0-4.
 *
 * The path is parsed once, here, and rebuilt for upstream from the parsed
 * segments, so that the gateway and the API server cannot read it differently.
 * Anything ambiguous is refused: empty segments, dot segments, encoded slashes,
 * control characters, bytes outside ASCII, matrix parameters.
 * Shape: k8s.io/apiserver pkg/endpoints/request/requestinfo.go.
 */
import { GatewayError } from '../errors/gateway-error.ts'

export interface RequestInfo {
  method: string
  /** The path as sent upstream: decoded once, encoded once. */
  path: string
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
  /** Lower-case first segment, to route our own API. */
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

function resourceParts(rest: string[]): ResourceParts {
  const [first, second, third, ...more] = rest
  if (first === undefined) return {}
  const namespaced = first === 'namespaces' && second !== undefined && third !== undefined
  // `namespaces/NAME/status` and `/finalize` are subresources of the namespace itself.
  const ofNamespace =
    namespaced && more.length === 0 && (third === 'status' || third === 'finalize')
  if (namespaced && !ofNamespace) {
    const [name, ...sub] = more
    return {
      namespace: second,
      resource: third,
      ...(name === undefined ? {} : { name }),
      ...(sub.length === 0 ? {} : { subresource: sub.join('/') }),
    }
  }
  const sub = third === undefined ? [] : [third, ...more]
  return {
    resource: first,
    ...(second === undefined ? {} : { name: second }),
    ...(sub.length === 0 ? {} : { subresource: sub.join('/') }),
  }
}

/**
 * @param target the request target as it stood in the request line
 * @throws GatewayError BadRequest for anything two parsers could read differently.
 */
export function parseRequestInfo(method: string, target: string): RequestInfo {
  const mark = target.indexOf('?')
  const rawPath = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark + 1)
  if (/[^\x21-\x7e]/.test(query) || query.includes('#'))
    throw badPath('its query holds a character that is not allowed')
  const segments = splitPath(rawPath)
  const path = `/${segments.map(encodeSegment).join('/')}`
  const base: RequestInfo = { method, path, query, isResourceRequest: false, segments }
  const [prefix] = segments
  if (prefix === 'api' && segments.length > 2) {
    const [, apiVersion, ...rest] = segments
    if (apiVersion === undefined) return base
    return {
      ...base,
      isResourceRequest: true,
      apiPrefix: 'api',
      apiGroup: '',
      apiVersion,
      ...resourceParts(rest),
    }
  }
  if (prefix === 'apis' && segments.length > 3) {
    const [, apiGroup, apiVersion, ...rest] = segments
    if (apiGroup === undefined || apiVersion === undefined) return base
    return {
      ...base,
      isResourceRequest: true,
      apiPrefix: 'apis',
      apiGroup,
      apiVersion,
      ...resourceParts(rest),
    }
  }
  return base
}

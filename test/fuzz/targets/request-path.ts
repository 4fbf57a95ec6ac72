/**
 * The request path parser, held against the API server's own. An input is `METHOD target`; each of
 * its bytes is one of the request line.
 */
import * as fc from 'fast-check'

import { asGatewayError } from '../../../lib/errors/gateway-error.ts'
import { parseRequestInfo, type RequestInfo } from '../../../lib/proxy/request-info.ts'
import { routeOf, type Route } from '../../../lib/proxy/route.ts'
import { openOracle, type Oracle, type ServerReading } from '../oracle.ts'
import { broken, type Target } from '../target.ts'

/** Ways into a pod, or to somebody's credentials; see docs/explanation/threat-model.md. */
const POWERFUL: Readonly<Record<string, readonly string[]>> = {
  pods: ['exec', 'attach', 'portforward', 'log', 'proxy', 'ephemeralcontainers'],
  services: ['proxy'],
  nodes: ['proxy'],
  serviceaccounts: ['token'],
}
/** Kinds of routes that decide, or refuse. */
const DECIDED: readonly Route['kind'][] = [
  'stream',
  'forward',
  'logs',
  'debugContainer',
  'proxy',
  'token',
  'refuse',
]

function parse(method: string, path: string): RequestInfo | undefined {
  try {
    return parseRequestInfo(method, path)
  } catch (error) {
    const refusal = asGatewayError(error)
    if (refusal.reason === 'BadRequest' && refusal.id === 1010) return undefined
    throw error
  }
}

/** Our reading in the words of the API server. */
function inItsWords(info: RequestInfo): Partial<ServerReading> {
  if (!info.isResourceRequest) return { isResourceRequest: false }
  const { apiPrefix = '', apiGroup = '', apiVersion = '', namespace = '', resource = '' } = info
  const [subresource = '', ...rest] = info.subresource?.split('/') ?? []
  const parts = [resource, info.name, subresource, ...rest].filter((part) => part !== undefined)
  return {
    isResourceRequest: true,
    apiPrefix,
    apiGroup,
    apiVersion,
    namespace,
    resource,
    name: info.name ?? '',
    subresource,
    parts: subresource === '' ? parts.slice(0, info.name === undefined ? 1 : 2) : parts,
  }
}

function sameWords(ours: Partial<ServerReading>, theirs: ServerReading): boolean {
  return Object.entries(ours).every(([field, value]) => {
    // For lists it takes the name out of a field selector.
    if (field === 'name' && value === '' && theirs.parts?.length === 1) return true
    return JSON.stringify(value) === JSON.stringify(theirs[field as keyof ServerReading])
  })
}

function isPowerful({ error, apiGroup, apiPrefix, resource, subresource }: ServerReading): boolean {
  if (error !== undefined || apiPrefix !== 'api' || apiGroup !== '') return false
  return Object.hasOwn(POWERFUL, resource) && POWERFUL[resource]?.includes(subresource) === true
}

function checkRoute(info: RequestInfo, theirs: ServerReading): void {
  for (const upgrade of [false, true]) {
    const { kind } = routeOf(info, upgrade)
    const isRead = kind === 'passThrough' && (info.method === 'GET' || info.method === 'HEAD')
    if (!DECIDED.includes(kind) && !(isRead && theirs.subresource === 'ephemeralcontainers'))
      throw broken('a way into a pod is passed on undecided', info, theirs, kind)
  }
}

async function check(oracle: Oracle, method: string, path: string): Promise<void> {
  const info = parse(method, path)
  if (info === undefined) return
  if (info.segments.some((part) => /^(?:\.{0,2})$|[/\\;%?#]|[^\x21-\x7e]/.test(part)))
    throw broken('a segment is taken that could be read in two ways', info)
  const query = info.query === '' ? '' : `?${info.query}`
  const [original, rebuilt] = await Promise.all([
    oracle.ask(method, path),
    oracle.ask(method, info.path + query),
  ])
  const ours = inItsWords(info)
  if (rebuilt.error !== undefined || !sameWords(ours, rebuilt))
    throw broken('the API server reads the path we send in another way', info, rebuilt)
  if (original.error === undefined && !sameWords(ours, original))
    throw broken('the API server reads the path that came in another way', info, original)
  if (original.error === undefined && original.path.replace(/(.)\/$/, '$1') !== pathOf(info))
    throw broken('the path we send is another one than came', info, original)
  if (isPowerful(original) || isPowerful(rebuilt)) checkRoute(info, rebuilt)
  const again = parseRequestInfo(method, info.path + query)
  if (JSON.stringify(again) !== JSON.stringify(info))
    throw broken('the path we send is read differently by ourselves', info, again)
}

function pathOf({ segments }: RequestInfo): string {
  return `/${segments.join('/')}`
}

function oneOf(words: string): fc.Arbitrary<string> {
  return fc.constantFrom(...words.trim().split(/\s+/))
}

const method = oneOf('GET POST PUT PATCH DELETE HEAD OPTIONS')
const word = oneOf(`
  api apis v1 apps namespaces shop pods web-0 services nodes n1 https:web:443 serviceaccounts
  exec attach portforward log proxy ephemeralcontainers token status finalize watch redirect
  binding scale`)
const spoiled = fc.oneof(
  fc.constantFrom('', ' ', '\t', '\u00ff'),
  oneOf(`
    . .. %2e %2E%2e %2f %252f ;x=y %00 %0a % %zz %ff %c0%af %ef%bc%8f \\ + ~ @ %3b %3f %23 # *`),
)
/** A word as it stands, or spelt so that a careless reader sees another one. */
const segment = fc.oneof(
  { weight: 12, arbitrary: word },
  { weight: 1, arbitrary: spoiled },
  { weight: 1, arbitrary: fc.tuple(word, spoiled).map(([a, b]) => a + b) },
  { weight: 1, arbitrary: fc.tuple(spoiled, word).map(([a, b]) => a + b) },
  { weight: 1, arbitrary: word.map((text) => text.toUpperCase()) },
  {
    weight: 1,
    arbitrary: word.map((text) => `%${text.charCodeAt(0).toString(16)}${text.slice(1)}`),
  },
)
const start = fc.oneof(
  fc.constantFrom(''),
  oneOf(`
    / /api /api/v1 /api/v1/namespaces/shop /api/v1/namespaces/shop/pods/web-0 /api/v1/nodes/n1
    /api/v1/namespaces/shop/services/web /api/v1/namespaces/shop/serviceaccounts/a /api/v1/watch
    /apis/apps/v1 /apis/apps/v1/namespaces/shop`),
)
const query = fc.oneof(
  { weight: 2, arbitrary: fc.constant('') },
  {
    weight: 1,
    arbitrary: oneOf(`
      ? ?? ?watch=true ?watch=1&watch=0 ?command=ls&command=-l ?fieldSelector=metadata.name%3Da
      ?a;b ?a=%zz ?path=/a/../b ?a=%2F..%2F ?a=b#c ?a=%00`),
  },
)

let oracle: Oracle | undefined

export const target: Target = {
  about: "the request path (lib/proxy/request-info.ts), beside the API server's own RequestInfo",
  covers: ['lib/proxy/request-info.ts', 'lib/proxy/route.ts'],
  maxBytes: 5000,
  inputs: fc
    .tuple(method, start, fc.array(segment, { maxLength: 6 }), fc.constantFrom('', '', '/'), query)
    .map(([verb, head, segments, slash, search]) =>
      Buffer.from(`${verb} ${[head, ...segments].join('/')}${slash}${search}`, 'latin1'),
    ),
  async check(input) {
    const text = Buffer.from(input).toString('latin1')
    const space = text.indexOf(' ')
    const verb = text.slice(0, space)
    // Others do not come out of Node's own reader; an empty one would be read as GET by Go.
    if (space === -1 || !/^[A-Z]{3,8}$/.test(verb)) return
    if (oracle !== undefined) await check(oracle, verb, text.slice(space + 1))
  },
  async open() {
    oracle = await openOracle()
  },
  async close() {
    await oracle?.close()
  },
}

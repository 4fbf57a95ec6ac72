/**
 * Ways that somebody could try to get into a pod past the decision: verbs, subresources,
 * transports, spellings of paths. Each request carries a command that would leave a trace.
 */

export interface Attempt {
  name: string
  /** Nothing is opened or changed by it, so that straight at the API server RBAC alone decides. */
  isRead: boolean
  /** Has to do with logs, which some may read. */
  isLog: boolean
  /** Only who may impersonate everything can send it on; see docs/explanation/threat-model.md. */
  isForged: boolean
  bytes(host: string, authorization: string | undefined): Buffer
}

interface Road {
  name: string
  method: string
  path: string
  query?: string
  type?: string
  body?: string
}

export const POD = 'vault-0'
const IN_SHOP = '/api/v1/namespaces/shop'
const IN_POD = `${IN_SHOP}/pods/${POD}`

/** What a command of the matrix leaves behind, were it ever run. */
export const TRACE = '/tmp/bypassed'
const TOUCH = `command=touch&command=${TRACE}`
const DEBUG = {
  spec: {
    ephemeralContainers: [
      { name: 'bypass', image: 'busybox', command: ['touch', TRACE], targetContainerName: 'main' },
    ],
  },
}
const TOKEN = { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', spec: {} }

function roadsOf(node: string): Road[] {
  const kubelet = `/api/v1/nodes/${node}/proxy`
  return [
    { name: 'exec', method: 'GET', path: `${IN_POD}/exec`, query: `${TOUCH}&stdout=true` },
    {
      name: 'exec of the kubelet',
      method: 'GET',
      path: `${kubelet}/exec/shop/${POD}/main`,
      query: `${TOUCH}&output=1`,
    },
    {
      name: 'run of the kubelet',
      method: 'POST',
      path: `${kubelet}/run/shop/${POD}/main`,
      query: `cmd=touch%20${TRACE}`,
    },
    {
      name: 'the kubelet by its port',
      method: 'POST',
      path: `/api/v1/nodes/https:${node}:10250/proxy/run/shop/${POD}/main`,
      query: `cmd=touch%20${TRACE}`,
    },
    { name: 'attach', method: 'GET', path: `${IN_POD}/attach`, query: 'stdout=true' },
    { name: 'portforward', method: 'GET', path: `${IN_POD}/portforward`, query: 'ports=80' },
    { name: 'pod proxy', method: 'GET', path: `${IN_SHOP}/pods/${POD}:80/proxy/` },
    { name: 'service proxy', method: 'GET', path: `${IN_SHOP}/services/vault:80/proxy/` },
    {
      name: 'debug container',
      method: 'PATCH',
      path: `${IN_POD}/ephemeralcontainers`,
      type: 'application/strategic-merge-patch+json',
      body: JSON.stringify(DEBUG),
    },
    {
      name: 'token',
      method: 'POST',
      path: `${IN_SHOP}/serviceaccounts/shop/token`,
      type: 'application/json',
      body: JSON.stringify(TOKEN),
    },
    { name: 'log', method: 'GET', path: `${IN_POD}/log` },
  ]
}

type Spelling = [name: string, spell: (path: string, host: string) => string]

/** Replaces the last slash before the subresource, where a second reading would hurt most. */
function atSubresource(path: string, by: string): string {
  return path.replace(/\/(?=(?:exec|attach|portforward|proxy|ephemeralcontainers|token|log)\b)/, by)
}

const SPELLINGS: Spelling[] = [
  ['as it is', (path) => path],
  ['a slash at the end', (path) => `${path}/`],
  ['two slashes at the end', (path) => `${path}//`],
  ['two slashes at the beginning', (path) => `/${path}`],
  ['two slashes in the middle', (path) => atSubresource(path, '//')],
  ['a dot', (path) => atSubresource(path, '/./')],
  ['two dots', (path) => atSubresource(path, '/status/../')],
  ['two dots, escaped', (path) => atSubresource(path, '/status/%2e%2e/')],
  ['a dot, escaped', (path) => atSubresource(path, '/%2E/')],
  ['an escaped slash', (path) => atSubresource(path, '%2f')],
  ['a slash escaped twice', (path) => atSubresource(path, '%252f')],
  ['a backslash', (path) => atSubresource(path, '\\')],
  ['an escaped backslash', (path) => atSubresource(path, '/%5c')],
  ['an escaped letter', (path) => path.replace(/e/g, '%65')],
  ['a letter escaped twice', (path) => path.replace(/e/g, '%2565')],
  ['an escaped question mark', (path) => `${path}%3f`],
  ['an escaped end', (path) => `${path}%00`],
  ['an escaped line end', (path) => `${path}%0d%0a`],
  ['matrix parameters', (path) => `${path};a=b`],
  ['matrix parameters in the middle', (path) => atSubresource(path, ';a=b/')],
  ['escaped matrix parameters', (path) => atSubresource(path, '%3Ba=b/')],
  ['a fragment', (path) => `${path}#x`],
  ['capitals', (path) => path.toUpperCase()],
  ['a capital', (path) => path.replace(/\/(pods|nodes)\//, '/P$1/').replace('Pp', 'P')],
  ['a capital subresource', (path) => path.replace(/\/(\w)(\w*)$/, (all) => all.toUpperCase())],
  ['an absolute target', (path, host) => `https://${host}${path}`],
  ['an absolute target elsewhere', (path) => `http://example.com${path}`],
  ['the legacy proxy', (path) => path.replace('/api/v1/', '/api/v1/proxy/')],
  ['the legacy watch', (path) => path.replace('/api/v1/', '/api/v1/watch/')],
  ['the legacy redirect', (path) => path.replace('/api/v1/', '/api/v1/redirect/')],
  ['a group that is the core', (path) => path.replace('/api/v1/', '/apis/core/v1/')],
  ['a group without a name', (path) => path.replace('/api/v1/', '/apis//v1/')],
  ['another version', (path) => path.replace('/api/v1/', '/api/v1beta1/')],
  [
    'an aggregated look-alike',
    (path) => path.replace('/api/v1/', '/apis/subresources.kubevirt.io/v1/'),
  ],
  ['a path of our own in front', (path) => `/podgate/v1alpha1/..${path}`],
  ['letters beyond ASCII', (path) => path.replace('exec', '\uFF45xec')],
]

const WEBSOCKET = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io, channel.k8s.io',
]
const SPDY = [
  'Connection: Upgrade',
  'Upgrade: SPDY/3.1',
  'X-Stream-Protocol-Version: v4.channel.k8s.io',
]

function swap(lines: string[], from: string | RegExp, to: string): string[] {
  return lines.map((line) => line.replace(from, to)).filter((line) => line !== '')
}

const FORGED = 'somebody else with a mark'

const TRANSPORTS: [name: string, lines: string[]][] = [
  ['WebSocket', WEBSOCKET],
  ['SPDY', SPDY],
  ['h2c', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk']],
  ['a list', swap(WEBSOCKET, 'websocket', 'websocket, SPDY/3.1')],
  ['two lines', [...WEBSOCKET, 'Upgrade: SPDY/3.1']],
  [
    'odd case',
    swap(swap(WEBSOCKET, 'Upgrade: websocket', 'uPGRADE: WebSOCKET'), 'Upgrade', 'UPGRADE'),
  ],
  ['no Connection', swap(WEBSOCKET, 'Connection: Upgrade', '')],
  ['another Connection', swap(WEBSOCKET, 'Connection: Upgrade', 'Connection: keep-alive')],
  ['no version', swap(SPDY, /^X-Stream.*/, '')],
  ['the port-forward tunnel', swap(WEBSOCKET, /v5.*/, 'SPDY/3.1+portforward.k8s.io')],
  [
    'the mark of a session',
    [...WEBSOCKET, 'Impersonate-Extra-podgate.dev%2fsession: 0123456789ab'],
  ],
  [
    FORGED,
    [
      ...WEBSOCKET,
      'Impersonate-User: ana',
      'Impersonate-Extra-podgate.dev%2fsession: 0123456789ab',
    ],
  ],
]

const METHODS = [
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  'gEt',
  'TRACE',
]

function attempt(
  { name, path, query, type, body }: Road,
  method: string,
  how: string,
  lines: string[] = [],
  spell: Spelling[1] = (same) => same,
): Attempt {
  return {
    name: `${method} ${name}, ${how}`,
    isLog: name === 'log',
    isRead: name === 'log' || (name === 'debug container' && /^(?:get|head)$/i.test(method)),
    isForged: how === FORGED,
    bytes(host, authorization) {
      const target = spell(path, host) + (query === undefined ? '' : `?${query}`)
      const head = [
        `${method} ${target} HTTP/1.1`,
        `Host: ${host}`,
        ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
        ...(body === undefined
          ? []
          : [`Content-Type: ${type ?? ''}`, `Content-Length: ${body.length}`]),
        ...lines,
        ...(lines.some((line) => /^connection:/i.test(line)) ? [] : ['Connection: close']),
      ]
      return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body ?? ''}`)
    },
  }
}

/** The first roads are spelled in every way, the others in some. */
const SHELLS = 2
const SOME = 16

export function bypassMatrix(node: string): Attempt[] {
  const roads = roadsOf(node)
  const spelled = roads.flatMap((road, n) => {
    const spellings = n < SHELLS ? SPELLINGS : SPELLINGS.slice(0, SOME)
    return spellings.flatMap(([how, spell]) =>
      n < SHELLS
        ? [
            attempt(road, 'GET', `${how}, WebSocket`, WEBSOCKET, spell),
            attempt(road, 'POST', `${how}, SPDY`, SPDY, spell),
          ]
        : [attempt(road, road.method, how, [], spell)],
    )
  })
  const byMethod = roads.flatMap((road) => METHODS.map((method) => attempt(road, method, 'plain')))
  const byTransport = roads.flatMap((road) =>
    TRANSPORTS.map(([how, lines]) => attempt(road, road.method, how, lines)),
  )
  return [...spelled, ...byMethod, ...byTransport]
}

/** What the matrix asks for, once and plainly, to show that it would leave its trace. */
export function plainExec(host: string, authorization: string): Buffer {
  const [exec] = roadsOf('')
  if (exec === undefined) throw new Error('no exec')
  return attempt(exec, 'GET', 'WebSocket', WEBSOCKET).bytes(host, authorization)
}

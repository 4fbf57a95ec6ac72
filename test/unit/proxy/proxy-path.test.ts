import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import type { PodObject } from '../../../lib/kube/pod.ts'
import { requestWords } from '../../../lib/proxy/proxy-access.ts'
import {
  assertNoKubeletRoad,
  parseProxyName,
  podPort,
  proxiedPath,
  proxyRoot,
  redirectWithin,
  servicePort,
} from '../../../lib/proxy/proxy-path.ts'
import { parseRequestInfo } from '../../../lib/proxy/request-info.ts'

const ROOT = '/api/v1/namespaces/shop/services/web:80/proxy'

describe('what stands before /proxy', () => {
  it.each([
    ['web', { scheme: '', name: 'web', port: undefined }],
    ['web:', { scheme: '', name: 'web', port: undefined }],
    ['web:80', { scheme: '', name: 'web', port: 80 }],
    ['web:http', { scheme: '', name: 'web', port: 'http' }],
    ['https:web:8443', { scheme: 'https', name: 'web', port: 8443 }],
    ['http:web:', { scheme: 'http', name: 'web', port: undefined }],
    [':web:80', { scheme: '', name: 'web', port: 80 }],
  ] as const)('%s', (id, want) => {
    expect(parseProxyName('services', id)).toEqual(want)
  })

  it.each([
    '',
    ':80',
    'web:+80',
    'web:080',
    'web:0',
    'web:65536',
    'web:-1',
    'web:80.0',
    'web:8_0',
    'web:http-that-is-too-long',
    'HTTP:web:80',
    'ftp:web:80',
    'Web',
    'web@host',
    'a:b:c:d',
    'http:web:80:',
  ])('%s is read by nobody', (id) => {
    expect(() => parseProxyName('services', id)).toThrow(
      expect.objectContaining({ reason: 'BadRequest', id: 1047 }),
    )
  })

  it.each(['pods', 'nodes'] as const)('%s have ports by number only', (resource) => {
    expect(() => parseProxyName(resource, 'web-0:http')).toThrow(/by its number/)
  })

  it('a port that is a number is never anything else', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 6 }), (text) => {
        try {
          const { port } = parseProxyName('pods', `web:${text}`)
          expect(port === undefined ? text : String(port)).toBe(text)
        } catch (error) {
          expect(error).toMatchObject({ id: 1047 })
        }
      }),
    )
  })
})

describe('a port that is not named', () => {
  const pod = (...ports: number[][]): PodObject => ({
    metadata: { name: 'web-0', namespace: 'shop', uid: '1' },
    spec: {
      containers: ports.map((of, n) => ({
        name: `c${n}`,
        ports: of.map((containerPort) => ({ containerPort })),
      })),
    },
  })

  it.each([
    ['of a pod is the first of the first container that has one', 'web', [[], [8080, 9090]], 8080],
    ['of a pod without ports is that of the scheme', 'web', [[]], 80],
    ['of a pod without ports is that of the scheme, https', 'https:web:', [], 443],
    ['is not asked for when there is one', 'web:1234', [[8080]], 1234],
  ])('%s', (_name, id, ports, want) => {
    expect(podPort(pod(...ports), parseProxyName('pods', id))).toBe(want)
  })

  it.each([
    ['web', [{ port: 80 }], 80],
    ['web', [{ name: 'http', port: 80 }], undefined],
    [
      'web:http',
      [
        { name: 'admin', port: 81 },
        { name: 'http', port: 80 },
      ],
      80,
    ],
    ['web:nope', [{ name: 'http', port: 80 }], undefined],
    ['web:8080', [], 8080],
  ])('of a service: %s among %j', (id, ports, want) => {
    const service = { metadata: { name: 'web' }, spec: { ports } }
    expect(servicePort(service, parseProxyName('services', id))).toBe(want)
  })
})

describe('the kubelet', () => {
  it.each([
    ['nodes', 10250, '/run/shop/web-0/main'],
    ['nodes', 10250, '/exec/shop/web-0/main'],
    ['nodes', 10250, '/EXEC/shop/web-0/main'],
    ['nodes', 10250, '/attach/shop/web-0/main'],
    ['nodes', 10250, '/portForward/shop/web-0'],
    ['nodes', 10250, '/cri/exec/token'],
    ['nodes', 10250, '/containerLogs/shop/web-0/main'],
    ['nodes', 10250, '/logs/pods/'],
    ['nodes', 10250, '/checkpoint/shop/web-0/main'],
    ['nodes', 10250, '/debug/pprof/profile'],
    ['nodes', 10250, '/of-tomorrow'],
    ['nodes', 10255, '/logs/'],
    ['nodes', 9100, '/exec/shop/web-0/main'],
    ['pods', 10250, '/run/shop/web-0/main'],
    ['services', 10250, '/exec/shop/web-0/main'],
  ] as const)('%s port %d does not open %s', (resource, port, path) => {
    expect(() => assertNoKubeletRoad(resource, port, path)).toThrow(
      expect.objectContaining({ reason: 'Forbidden', id: 1046 }),
    )
  })

  it.each([
    ['nodes', 10250, ''],
    ['nodes', 10250, '/'],
    ['nodes', 10250, '/metrics/cadvisor'],
    ['nodes', 10250, '/stats/summary'],
    ['nodes', 9100, '/metrics'],
    ['nodes', 9100, '/of-tomorrow'],
    ['pods', 8080, '/exec'],
    ['services', undefined, '/run'],
  ] as const)('%s port %s shows %s', (resource, port, path) => {
    expect(() => assertNoKubeletRoad(resource, port, path)).not.toThrow()
  })
})

describe('paths', () => {
  it.each([
    ['', '', ROOT],
    ['/', '/', ROOT],
    ['/a', '/a', ROOT],
    ['/a/b/', '/a/b/', ROOT],
    ['/proxy/proxy', '/proxy/proxy', ROOT],
  ])('behind %s', (rest, path, root) => {
    const info = parseRequestInfo('GET', ROOT + rest)
    expect([proxiedPath(info), proxyRoot(info)]).toEqual([path, root])
  })

  it('are recorded without their query, which is there as a digest', () => {
    expect(requestWords(parseRequestInfo('GET', `${ROOT}/a?mail=x@example.com`))).toEqual([
      'GET',
      '/a',
      expect.stringMatching(/^\?sha256=[0-9a-f]{32}$/),
    ])
    expect(requestWords(parseRequestInfo('POST', ROOT))).toEqual(['POST', '/'])
  })
})

describe('a redirect', () => {
  const info = parseRequestInfo('GET', `${ROOT}/a/b`)

  it.each([
    [`${ROOT}/`, `${ROOT}/`],
    [`${ROOT}/login?next=%2Fa#top`, `${ROOT}/login?next=%2Fa#top`],
    ['c', `${ROOT}/a/c`],
    ['../', `${ROOT}/`],
    ['?page=2', `${ROOT}/a/b?page=2`],
  ])('to %s stays within', (location, want) => {
    expect(redirectWithin(info, location)).toBe(want)
  })

  it.each([
    undefined,
    'https://example.com/',
    `https://example.com${ROOT}/`,
    `//example.com${ROOT}/`,
    String.raw`\\example.com${ROOT}/`,
    `/api/v1/namespaces/shop/secrets`,
    `${ROOT}/../../../secrets`,
    `${ROOT}/%2e%2e/%2e%2e/x`,
    `${ROOT}y/`,
    '../../x',
    'javascript:alert(1)',
    'http://[',
  ])('to %s does not', (location) => {
    expect(redirectWithin(info, location)).toBeUndefined()
  })

  it('knows of the path below which the API server is reached', () => {
    expect(redirectWithin(info, `/k8s${ROOT}/x`, '/k8s')).toBe(`${ROOT}/x`)
    expect(redirectWithin(info, `${ROOT}/x`, '/k8s')).toBeUndefined()
  })
})

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { parseRequestInfo } from '../../../lib/proxy/request-info.ts'

describe('parseRequestInfo reads resource paths as the API server does', () => {
  it.each([
    { target: '/', want: { isResourceRequest: false, path: '/' } },
    { target: '/api', want: { isResourceRequest: false, path: '/api' } },
    { target: '/api/', want: { isResourceRequest: false, path: '/api' } },
    { target: '/api/v1', want: { isResourceRequest: false } },
    { target: '/apis/apps/v1', want: { isResourceRequest: false } },
    { target: '/healthz', want: { isResourceRequest: false } },
    { target: '/api/v1/pods?limit=500', want: { resource: 'pods', query: 'limit=500' } },
    { target: '/api/v1/namespaces', want: { resource: 'namespaces' } },
    {
      target: '/api/v1/namespaces/shop',
      want: { namespace: 'shop', resource: 'namespaces', name: 'shop' },
    },
    {
      target: '/api/v1/namespaces/shop/status',
      want: { namespace: 'shop', resource: 'namespaces', name: 'shop', subresource: 'status' },
    },
    {
      target: '/api/v1/namespaces/shop/finalize/pods/web-0/exec',
      want: { resource: 'namespaces', name: 'shop', subresource: 'finalize/pods/web-0/exec' },
    },
    {
      target: '/api/v1/namespaces/namespaces/pods/status/exec',
      want: { namespace: 'namespaces', resource: 'pods', name: 'status', subresource: 'exec' },
    },
    {
      target: '/api/v1/watch/namespaces/shop/pods',
      want: { namespace: 'shop', resource: 'pods', path: '/api/v1/watch/namespaces/shop/pods' },
    },
    { target: '/api/v1/watch/pods/', want: { resource: 'pods', path: '/api/v1/watch/pods' } },
    {
      target: '/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/s0-Queue_Length',
      want: { resource: 's0-Queue_Length' },
    },
    {
      target: '/api/v1/namespaces/shop/configmaps/MixedCase',
      want: { resource: 'configmaps', name: 'MixedCase' },
    },
    {
      target: '/api/v1/namespaces/shop/pods/web-0/exec?command=ls',
      want: { namespace: 'shop', resource: 'pods', name: 'web-0', subresource: 'exec' },
    },
    {
      target: '/api/v1/namespaces/shop/pods/%77eb-0/%65xec',
      want: {
        name: 'web-0',
        subresource: 'exec',
        path: '/api/v1/namespaces/shop/pods/web-0/exec',
      },
    },
    {
      target: '/api/v1/namespaces/shop/services/https:web:443/proxy/a/b',
      want: {
        resource: 'services',
        name: 'https:web:443',
        subresource: 'proxy/a/b',
        path: '/api/v1/namespaces/shop/services/https:web:443/proxy/a/b',
      },
    },
    {
      target: '/apis/apps/v1/namespaces/shop/deployments/web/scale',
      want: { apiGroup: 'apps', resource: 'deployments', subresource: 'scale' },
    },
    {
      target: '/api/v1/nodes/n1/proxy/run/shop/web-0/main',
      want: { resource: 'nodes', name: 'n1', subresource: 'proxy/run/shop/web-0/main' },
    },
  ])('$target', ({ target, want }) => {
    expect(parseRequestInfo('GET', target)).toMatchObject(want)
  })
})

describe('parseRequestInfo keeps the slash at the end only where a program behind it may see it', () => {
  it.each([
    ['/api/v1/namespaces/shop/pods/web-0/proxy', false],
    ['/api/v1/namespaces/shop/pods/web-0/proxy/', true],
    ['/api/v1/namespaces/shop/pods/web-0/proxy/a', false],
    ['/api/v1/namespaces/shop/pods/web-0/proxy/a/', true],
    ['/api/v1/namespaces/shop/services/https:web:443/proxy/?a=1', true],
    ['/api/v1/nodes/n1/proxy/', true],
  ])('%s', (target, want) => {
    const info = parseRequestInfo('GET', target)
    expect(info.trailingSlash).toBe(want)
    expect(info.path).toBe(target.split('?')[0])
  })

  it.each([
    ['/api/v1/namespaces/shop/pods/web-0/exec/', '/api/v1/namespaces/shop/pods/web-0/exec'],
    ['/api/v1/namespaces/shop/pods/', '/api/v1/namespaces/shop/pods'],
    ['/api/v1/namespaces/shop/configmaps/a/proxy/', '/api/v1/namespaces/shop/configmaps/a/proxy'],
    ['/apis/example.org/v1/nodes/n1/proxy/', '/apis/example.org/v1/nodes/n1/proxy'],
    ['/', '/'],
  ])('%s is %s', (target, path) => {
    const info = parseRequestInfo('GET', target)
    expect([info.path, info.trailingSlash]).toEqual([path, false])
  })
})

describe('parseRequestInfo refuses what two parsers could read differently', () => {
  it.each([
    ['no leading slash', 'api/v1/pods'],
    ['an absolute form', 'https://evil.example/api/v1/pods'],
    ['an empty segment', '/api/v1//namespaces/shop/pods/web-0/exec'],
    ['an empty segment at the end', '/api/v1/pods//'],
    ['a dot segment', '/api/v1/./pods'],
    ['a double dot segment', '/api/v1/namespaces/shop/../prod/pods'],
    ['an encoded dot segment', '/api/v1/namespaces/%2e%2e/pods'],
    ['an encoded slash', '/api/v1/namespaces/shop/pods/web-0%2fexec'],
    ['an encoded slash in capitals', '/api/v1/namespaces/shop/pods/web-0%2Fexec'],
    ['a double encoding', '/api/v1/namespaces/shop/pods/web-0/%2565xec'],
    ['a matrix parameter', '/api/v1/namespaces/shop/pods/web-0/exec;x=1'],
    ['a backslash', '/api/v1/namespaces/shop\\pods'],
    ['a NUL', '/api/v1/pods/%00'],
    ['a line break', '/api/v1/pods/a%0d%0aX:1'],
    ['bytes beyond ASCII', '/api/v1/pods/%ff%fe'],
    ['letters beyond ASCII', '/api/v1/pods/w%C3%A9b'],
    ['a broken escape', '/api/v1/pods/%zz'],
    ['a raw control character in the query', '/api/v1/pods?a=\u0001'],
    ['a fragment', '/api/v1/pods?a=1#frag'],
    ['a semicolon in the query', '/api/v1/pods?watch=1;watch=0'],
    ['a broken escape in the query', '/api/v1/pods?dryRun=%zz'],
    ['bytes in the query that are not UTF-8', '/api/v1/pods?labelSelector=%ff'],
    ['the legacy proxy', '/api/v1/proxy/namespaces/shop/pods/web-0'],
    ['the legacy proxy of another group', '/apis/apps/v1/proxy/namespaces/shop/deployments/web'],
    ['the legacy watch of nothing', '/api/v1/watch'],
    ['the legacy watch of a subresource', '/api/v1/watch/namespaces/shop/pods/web-0/exec'],
    ['a prefix in capitals', '/API/v1/namespaces/shop/pods/web-0/exec'],
    ['a version in capitals', '/api/V1/namespaces/shop/pods/web-0/exec'],
    ['the word namespaces in capitals', '/api/v1/Namespaces/shop/pods/web-0/exec'],
    ['a resource in capitals', '/api/v1/namespaces/shop/Pods/web-0/exec'],
    ['a subresource in capitals', '/api/v1/namespaces/shop/pods/web-0/eXec'],
    ['a group in capitals', '/apis/Apps/v1/namespaces/shop/deployments/web'],
    ['an asterisk', '*'],
    ['an authority', 'kubernetes.default.svc:443'],
    ['two leading slashes', '//api/v1/pods'],
    ['nothing', ''],
    ['a path of 5,000 characters', `/api/v1/pods/${'a'.repeat(5000)}`],
  ])('%s', (_name, target) => {
    expect(() => parseRequestInfo('GET', target)).toThrow('not acceptable')
  })
})

it('parsing what it rebuilt gives the same reading, for any path it accepts', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9._~:@!$&'()*+,=-]{1,20}$/)
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), (segments) => {
      fc.pre(segments.every((part) => part !== '.' && part !== '..'))
      const first = parseRequestInfo('GET', `/${segments.map(encodeURIComponent).join('/')}`)
      const second = parseRequestInfo('GET', first.path)
      expect(second).toEqual(first)
      expect(second.segments).toEqual(segments)
    }),
  )
})

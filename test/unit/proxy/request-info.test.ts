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
    { target: '/api/v1/namespaces/shop', want: { resource: 'namespaces', name: 'shop' } },
    {
      target: '/api/v1/namespaces/shop/status',
      want: { resource: 'namespaces', name: 'shop', subresource: 'status' },
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

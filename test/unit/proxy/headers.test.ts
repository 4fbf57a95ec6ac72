import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  proxyRequestHeaders,
  proxyResponseHeaders,
  requestHeaders,
  responseHeaders,
} from '../../../lib/proxy/headers.ts'

const SEEDS = [
  'impersonate-user',
  'impersonate-uid',
  'impersonate-group',
  'impersonate-extra-podgate.dev%2fsession',
  'x-remote-user',
  'x-remote-group',
  'x-remote-extra-a',
  'authorization',
  'proxy-authorization',
  'cookie',
  'connection',
  'upgrade',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-client-cert',
  'ssl-client-cert',
  'sec-websocket-protocol',
  '__proto__',
  'constructor',
]

describe('I4: nothing a client sends reaches the API server as identity', () => {
  it.each(SEEDS)('drops %s', (name) => {
    const client = Object.fromEntries([[name, 'system:masters']])
    expect([requestHeaders(client), proxyRequestHeaders(client)]).toEqual([{}, {}])
  })

  it('passes on only names of the allow-list, for any header map', () => {
    const name = fc.oneof(fc.constantFrom(...SEEDS, 'accept', 'content-type'), fc.string())
    fc.assert(
      fc.property(fc.dictionary(name, fc.string()), (client) => {
        const allowed = Object.keys(proxyRequestHeaders(client))
        expect(
          allowed.every((key) => !/impersonate|remote|auth|forward|cookie|connection/i.test(key)),
        ).toBe(true)
      }),
    )
  })
})

it('responseHeaders keeps what a client needs and drops hop-by-hop headers', () => {
  const upstream = {
    'content-type': 'application/json',
    warning: '299 - "old"',
    'audit-id': 'a',
    connection: 'keep-alive',
    'transfer-encoding': 'chunked',
    'www-authenticate': 'Bearer',
    'set-cookie': ['a=b'],
  }
  expect(responseHeaders(upstream)).toEqual({
    'content-type': 'application/json',
    warning: '299 - "old"',
    'audit-id': 'a',
  })
})

describe('what a program behind a proxy answers', () => {
  const ANSWER = {
    'content-type': 'text/html',
    'content-length': '3',
    'set-cookie': ['a=b'],
    'www-authenticate': 'Basic realm="x"',
    'strict-transport-security': 'max-age=1',
    'clear-site-data': '"*"',
    'service-worker-allowed': '/',
    'access-control-allow-origin': '*',
    refresh: '0; url=https://example.com/',
    etag: '"1"',
    location: 'https://example.com/',
  }

  it('passes without what speaks of the whole origin', () => {
    expect(proxyResponseHeaders(ANSWER, undefined)).toEqual({
      'content-type': 'text/html',
      etag: '"1"',
    })
  })

  it('sends the client only where it was found to stay within', () => {
    expect(proxyResponseHeaders(ANSWER, '/api/v1/proxy/')).toMatchObject({
      location: '/api/v1/proxy/',
    })
  })
})

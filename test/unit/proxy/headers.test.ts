import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { asksToImpersonate, requestHeaders, responseHeaders } from '../../../lib/proxy/headers.ts'

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
    expect(requestHeaders(client)).toEqual({})
  })

  it('passes on only names of the allow-list, for any header map', () => {
    const name = fc.oneof(fc.constantFrom(...SEEDS, 'accept', 'content-type'), fc.string())
    fc.assert(
      fc.property(fc.dictionary(name, fc.string()), (client) => {
        const allowed = Object.keys(requestHeaders(client))
        expect(
          allowed.every((key) => !/impersonate|remote|auth|forward|cookie|connection/i.test(key)),
        ).toBe(true)
      }),
    )
  })

  it.each([
    ['impersonate-user', true],
    ['impersonate-extra-scopes', true],
    ['accept', false],
  ])('asksToImpersonate sees %s: %s', (name, want) => {
    expect(asksToImpersonate({ [name]: 'x' })).toBe(want)
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

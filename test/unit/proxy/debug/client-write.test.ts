/** The query and the body of a client's write, taken in whole. */
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'

import { describe, expect, it } from '@jest/globals'

import { parseWriteQuery, readWholeBody } from '../../../../lib/proxy/debug/client-write.ts'

describe('the query of a write', () => {
  it.each([
    ['', { isDryRun: false, query: '' }],
    ['dryRun=All', { isDryRun: true, query: '' }],
    [
      'pretty=true&fieldManager=a%20b&fieldValidation=Strict&timeout=3s&x=1',
      { isDryRun: false, query: 'fieldManager=a+b&fieldValidation=Strict&pretty=true' },
    ],
  ])('%s', (raw, want) => {
    const { isDryRun, query } = parseWriteQuery(raw)
    expect({ isDryRun, query: query.toString() }).toEqual(want)
  })

  it.each(['dryRun=', 'dryRun=all', 'dryRun=All&dryRun=All', 'fieldManager=a&fieldManager=b'])(
    'refuses %s',
    (raw) => {
      expect(() => parseWriteQuery(raw)).toThrow(expect.objectContaining({ id: 1036 }))
    },
  )
})

describe('the body', () => {
  function begin(limits: object): { stream: PassThrough; body: Promise<Buffer> } {
    const stream = new PassThrough()
    return { stream, body: readWholeBody(stream as unknown as IncomingMessage, limits) }
  }

  it('comes whole, up to the limit', async () => {
    const { stream, body } = begin({ maxBytes: 4 })
    stream.write('ab')
    stream.end('cd')
    expect((await body).toString()).toBe('abcd')
  })

  it('is refused when it is longer', async () => {
    const { stream, body } = begin({ maxBytes: 4 })
    stream.write('abcde')
    await expect(body).rejects.toMatchObject({ id: 1037, reason: 'RequestEntityTooLarge' })
  })

  it('is refused when it breaks off', async () => {
    const { stream, body } = begin({})
    stream.write('ab')
    stream.destroy()
    await expect(body).rejects.toMatchObject({ id: 1037, reason: 'BadRequest' })
  })

  it('is refused when it does not come in time', async () => {
    const { stream, body } = begin({ timeoutMs: 1 })
    stream.write('ab')
    await expect(body).rejects.toMatchObject({ id: 1037, reason: 'BadRequest' })
  })
})

import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'

import { describe, expect, it } from '@jest/globals'

import { readWholeBody } from '../../../lib/proxy/whole-body.ts'

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

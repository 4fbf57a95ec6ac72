import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { decodePayload, encodePayload } from '../../../../lib/proxy/forward/payload.ts'

describe('a payload', () => {
  it('comes back as it was, for any connection and bytes', () => {
    const payload = fc.record({
      direction: fc.constantFrom('up' as const, 'down' as const),
      connection: fc.integer({ min: 0, max: 0xffff_ffff }),
      data: fc.uint8Array({ maxLength: 64 }),
    })
    fc.assert(
      fc.property(payload, ({ direction, connection, data }) => {
        const decoded = decodePayload(encodePayload({ direction, connection, data }))
        expect(decoded).toMatchObject({ direction, connection })
        expect(Buffer.compare(decoded?.data ?? new Uint8Array(), data)).toBe(0)
      }),
    )
  })

  it.each([
    ['nothing', []],
    ['half a head', [1, 0, 0, 0]],
    ['a direction that nobody knows', [3, 0, 0, 0, 1]],
  ])('is not read out of %s', (_what, bytes) => {
    expect(decodePayload(Uint8Array.from(bytes))).toBeUndefined()
  })
})

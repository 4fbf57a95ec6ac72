import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { GatewayError, asGatewayError, errorText } from '../../../lib/errors/gateway-error.ts'
import { STATUS_CODES, type StatusReason } from '../../../lib/errors/status.ts'

describe('I5: every refusal is a Status under 1,000 bytes', () => {
  it('whatever the message holds, and the id stays readable', () => {
    const reasons = Object.keys(STATUS_CODES) as StatusReason[]
    fc.assert(
      fc.property(
        fc.constantFrom(...reasons),
        fc.string({ unit: 'binary', maxLength: 3000 }),
        (reason, message) => {
          const status = new GatewayError(reason, message, {
            id: 1001,
            causes: [{ message }],
          }).toStatus()
          expect(Buffer.byteLength(JSON.stringify(status))).toBeLessThanOrEqual(1000)
          expect(status.message).toMatch(/\[PODGATE-1001\]$/)
          expect(status).toMatchObject({
            kind: 'Status',
            apiVersion: 'v1',
            status: 'Failure',
            reason,
            code: STATUS_CODES[reason],
          })
        },
      ),
    )
  })

  it('keeps a short message whole', () => {
    const status = new GatewayError('Forbidden', 'no', { causes: [{ field: 'a' }] }).toStatus()
    expect(status).toMatchObject({ message: 'no', details: { causes: [{ field: 'a' }] } })
  })
})

describe('asGatewayError', () => {
  it.each([
    {
      name: 'a refused connection',
      error: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
      want: 'ServiceUnavailable',
    },
    { name: 'an unknown error', error: new Error('secret detail'), want: 'InternalError' },
    { name: 'a thrown string', error: 'secret detail', want: 'InternalError' },
    { name: 'our own error', error: new GatewayError('Conflict', 'taken'), want: 'Conflict' },
    {
      name: 'an impostor with the right name only',
      error: { name: 'GatewayError' },
      want: 'InternalError',
    },
    { name: 'null', error: null, want: 'InternalError' },
  ])('$name becomes $want and shows no detail of ours', ({ error, want }) => {
    const result = asGatewayError(error)
    expect(result.reason).toBe(want)
    expect(JSON.stringify(result.toStatus())).not.toContain('secret detail')
  })

  it('errorText never throws', () => {
    for (const value of [undefined, null, 1, 'a', { message: 'm' }, new Error('e')]) {
      expect(typeof errorText(value)).toBe('string')
    }
  })
})

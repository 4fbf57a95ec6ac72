import { describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { isDuplicateKey, isTransient, storeError } from '../../../lib/mongo/mongo-error.ts'

function failure(name: string, code?: number | string): Error {
  return Object.assign(new Error('as the driver says it'), { name, code })
}

describe('a failure of the store', () => {
  it.each<[string, unknown, boolean]>([
    ['a connection that was refused', failure('MongoNetworkError'), true],
    ['no server that answers', failure('MongoServerSelectionError'), true],
    ['a pool that was cleared', failure('MongoPoolClearedError'), true],
    ['an election', failure('MongoServerError', 10_107), true],
    ['a write that waits for a majority', failure('MongoWriteConcernError', 64), true],
    // The driver lets this one through as node has it.
    ['a write to a socket that the server has just closed', failure('Error', 'EPIPE'), true],
    ['a reset', failure('Error', 'ECONNRESET'), true],
    ['a duplicate key', failure('MongoServerError', 11_000), false],
    ['a wrong password', failure('MongoServerError', 18), false],
    ['a fault of ours', new TypeError('x is not a function'), false],
    ['another code of node', failure('Error', 'ERR_INVALID_ARG_TYPE'), false],
    ['no error at all', undefined, false],
  ])('may be over in a moment: %s', (_name, error, want) => {
    expect(isTransient(error)).toBe(want)
    expect(storeError(error, 'writing').reason).toBe(want ? 'ServiceUnavailable' : 'InternalError')
  })

  it('that has words already keeps them', () => {
    const known = new GatewayError('NotFound', 'not there')
    expect(storeError(known, 'reading')).toBe(known)
  })

  it('is a taken place where a key is there twice', () => {
    expect(isDuplicateKey(failure('MongoServerError', 11_000))).toBe(true)
    expect(isDuplicateKey(failure('MongoServerError', 11_001))).toBe(false)
  })
})

import { describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createStoreGate } from '../../../lib/proxy/store-gate.ts'

const AWAY = new GatewayError('ServiceUnavailable', 'the store is away')

describe('createStoreGate', () => {
  it.each([
    {
      name: 'the second try of one kubectl is refused at once',
      afterMs: 1499,
      error: AWAY,
      asked: 1,
    },
    { name: 'a later try asks the store again', afterMs: 1500, error: AWAY, asked: 2 },
    {
      name: 'another failure is not remembered',
      afterMs: 0,
      error: new GatewayError('Conflict', 'x'),
      asked: 2,
    },
  ])('$name', async ({ afterMs, error, asked }) => {
    let now = 0
    let calls = 0
    const gate = createStoreGate(() => now)
    const open = async (): Promise<never> => {
      calls += 1
      throw error
    }
    await expect(gate.pass(open)).rejects.toBe(error)
    now += afterMs
    await expect(gate.pass(open)).rejects.toBe(error)
    expect(calls).toBe(asked)
  })

  it('passes on what was opened', async () => {
    await expect(createStoreGate().pass(async () => 'open')).resolves.toBe('open')
  })
})

import { describe, expect, it } from '@jest/globals'

import { readyConditions } from '../../../lib/policy/ready-condition.ts'
import { accessPolicy, compile } from './fixtures.ts'

const NOW = new Date('2026-11-22T17:00:00.123Z')
const LATER = new Date('2026-11-22T18:00:00Z')
const sound = compile(accessPolicy('a'))
const broken = compile(
  accessPolicy('a', {
    masking: {
      patterns: [
        { name: 'ok', pattern: 'x' },
        { name: 'no', pattern: 'a(' },
      ],
    },
  }),
)

describe('readyConditions', () => {
  it('says that a sound policy is decided by', () => {
    expect(readyConditions(sound, 3, [], NOW)).toEqual([
      {
        type: 'Ready',
        status: 'True',
        reason: 'Compiled',
        message: 'the gateway decides by this policy',
        observedGeneration: 3,
        lastTransitionTime: '2026-11-22T17:00:00Z',
      },
    ])
  })

  it('names the exact field of a pattern that does not compile', () => {
    expect(readyConditions(broken, 1, [], NOW)).toMatchObject([
      {
        status: 'False',
        reason: 'InvalidPattern',
        message: expect.stringContaining('spec.masking.patterns[1].pattern: missing )'),
      },
    ])
  })

  it('names another field as another reason', () => {
    const policy = compile(accessPolicy('a', { approval: { mode: 'Session' } }))
    expect(readyConditions(policy, 1, [], NOW)).toMatchObject([
      { reason: 'InvalidField', message: expect.stringContaining('spec.approval.approvers') },
    ])
  })

  it('writes nothing where the same is written already', () => {
    const written = readyConditions(sound, 3, [], NOW) ?? []
    expect(readyConditions(sound, 3, written, LATER)).toBeUndefined()
  })

  it('keeps the time of the last change when only the generation moves on', () => {
    const written = readyConditions(sound, 3, [], NOW) ?? []
    expect(readyConditions(sound, 4, written, LATER)).toMatchObject([
      { observedGeneration: 4, lastTransitionTime: '2026-11-22T17:00:00Z' },
    ])
  })

  it('takes the time of the change, and leaves the conditions of others alone', () => {
    const written = [
      ...(readyConditions(broken, 3, [], NOW) ?? []),
      {
        type: 'Other',
        status: 'True' as const,
        reason: 'X',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ]
    expect(readyConditions(sound, 4, written, LATER)).toMatchObject([
      { type: 'Other' },
      { type: 'Ready', status: 'True', lastTransitionTime: '2026-11-22T18:00:00Z' },
    ])
  })
})

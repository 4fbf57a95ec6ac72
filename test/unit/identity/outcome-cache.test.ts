import { beforeEach, describe, expect, it } from '@jest/globals'

import { createOutcomeCache, type OutcomeCache } from '../../../lib/identity/outcome-cache.ts'

let now = 0
let cache: OutcomeCache<string>

beforeEach(() => {
  now = 1000
  cache = createOutcomeCache<string>(2, () => now)
})

describe('an outcome', () => {
  it('is there until its time, and not at it', () => {
    cache.set('a', 'one', 2000)
    now = 1999
    expect(cache.get('a')).toBe('one')
    now = 2000
    expect(cache.get('a')).toBeUndefined()
  })

  it('that was least recently used goes first', () => {
    cache.set('a', 'one', 2000)
    cache.set('b', 'two', 2000)
    cache.get('a')
    cache.set('c', 'three', 2000)
    expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual(['one', undefined, 'three'])
  })

  it('is gone when it is deleted, and all are when they are cleared', () => {
    cache.set('a', 'one', 2000)
    cache.set('b', 'two', 2000)
    cache.delete('a')
    expect([cache.get('a'), cache.get('b')]).toEqual([undefined, 'two'])
    cache.clear()
    expect(cache.get('b')).toBeUndefined()
  })
})

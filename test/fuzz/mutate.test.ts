import { expect, it } from '@jest/globals'

import { cutsOf } from './cuts.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'

const INPUT = Buffer.from('a request line, or a frame')
const OTHER = Buffer.from('something else')

it('the same seed gives the same mutants', () => {
  const mutants = [1, 2].map(() => {
    const random = new Random(7)
    return Array.from({ length: 200 }, () => mutate(INPUT, OTHER, random, 100).toString())
  })
  expect(mutants[0]).toEqual(mutants[1])
  expect(new Set(mutants[0]).size).toBeGreaterThan(150)
})

it('a mutant is never longer than allowed, and its origin stays as it was', () => {
  const random = new Random(8)
  const before = INPUT.toString()
  for (let run = 0; run < 2000; run++) {
    expect(mutate(INPUT, OTHER, random, 30).length).toBeLessThanOrEqual(30)
    expect(mutate(Buffer.alloc(0), Buffer.alloc(0), random, 30).length).toBeLessThanOrEqual(30)
  }
  expect(INPUT.toString()).toBe(before)
})

it('every cut of an input is that input', () => {
  for (const input of [INPUT, Buffer.alloc(5000, 'ab'), Buffer.alloc(0)])
    for (const pieces of cutsOf(input)) expect(Buffer.concat(pieces).equals(input)).toBe(true)
})

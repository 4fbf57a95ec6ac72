/** Takes all memory for one input. */
import * as fc from 'fast-check'

import type { Target } from '../target.ts'

export const target: Target = {
  about: 'needs too much memory',
  covers: [],
  maxBytes: 8,
  inputs: fc.constant(Buffer.from('hoard')),
  check(input) {
    const kept: string[] = []
    while (Buffer.from(input).toString() === 'hoard')
      kept.push(Buffer.alloc(50_000, kept.length).toString('latin1'))
  },
}

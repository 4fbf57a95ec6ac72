/** Breaks on four bytes that nobody meets by chance, only one after the other. */
import * as fc from 'fast-check'

import { broken, type Target } from '../target.ts'

/** Each right byte leads to a branch that only inputs like it reach. */
function depth(input: Uint8Array): number {
  if (input[0] !== 127) return 0
  if (input[1] !== 46) return 1
  if (input[2] !== 128) return 2
  if (input[3] !== 47) return 3
  return 4
}

export const target: Target = {
  about: 'breaks deep inside',
  covers: ['test/fuzz/planted/deep.ts'],
  maxBytes: 6,
  inputs: fc.uint8Array({ maxLength: 6 }),
  check(input) {
    if (depth(input) === 4) throw broken('the bottom is reached')
  },
}

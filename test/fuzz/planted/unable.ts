/** Cannot begin: no finding, but no success either. */
import * as fc from 'fast-check'

import type { Target } from '../target.ts'

export const target: Target = {
  about: 'cannot begin',
  covers: [],
  maxBytes: 1,
  inputs: fc.constant(Buffer.alloc(0)),
  check() {},
  open() {
    return Promise.reject(new Error('no oracle here'))
  },
}

/** Never ends for one input, to see that the watcher sees it. */
import * as fc from 'fast-check'

import type { Target } from '../target.ts'

export const target: Target = {
  about: 'does not end',
  covers: [],
  maxBytes: 8,
  inputs: fc.constant(Buffer.from('hang')),
  check(input) {
    while (Buffer.from(input).toString() === 'hang');
  },
}

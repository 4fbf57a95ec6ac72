import { describe, expect, it } from '@jest/globals'

import { createEchoWatch } from '../../../lib/proxy/echo.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe('createEchoWatch', () => {
  it.each([
    { name: 'a key that comes back', typed: ['x'], output: ['x'], want: [true] },
    { name: 'a key that comes back twice', typed: ['x'], output: ['x', 'x'], want: [true, false] },
    { name: 'keys that come back together', typed: ['l', 's'], output: ['ls'], want: [true] },
    {
      name: 'keys that come back one by one',
      typed: ['ls'],
      output: ['l', 's'],
      want: [true, true],
    },
    { name: 'output nobody typed', typed: ['x'], output: ['y'], want: [false] },
    { name: 'output longer than what was typed', typed: ['a'], output: ['ab'], want: [false] },
    { name: 'nothing typed', typed: [], output: ['a'], want: [false] },
    { name: 'an upload', typed: ['z'.repeat(4096)], output: ['z'], want: [false] },
    { name: 'empty output', typed: ['a'], output: [''], want: [false] },
  ])('$name: $want', ({ typed, output, want }) => {
    const watch = createEchoWatch()
    for (const text of typed) watch.typed(bytes(text))
    expect(output.map((text) => watch.isEcho(bytes(text)))).toEqual(want)
  })
})

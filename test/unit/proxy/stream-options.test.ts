import { describe, expect, it } from '@jest/globals'

import { parseStreamOptions } from '../../../lib/proxy/stream-options.ts'

describe('parseStreamOptions', () => {
  it.each([
    {
      name: 'reads all words of a command',
      query: 'command=sh&command=-c&command=echo%20a%26b&container=main&stdout=true&stderr=1',
      want: {
        command: ['sh', '-c', 'echo a&b'],
        container: 'main',
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false,
      },
    },
    {
      name: 'drops stderr with a terminal',
      query: 'command=sh&stdin=true&stdout=true&stderr=true&tty=true',
      want: {
        command: ['sh'],
        container: undefined,
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
      },
    },
    {
      name: 'keeps a plus as the query has it',
      query: 'command=a%2Bb&stdout=true',
      want: { command: ['a+b'] },
    },
    {
      name: 'reads the booleans of the Python client',
      query: 'command=ls&stdin=False&stdout=True&stderr=True&tty=False',
      want: { stdin: false, stdout: true, stderr: true, tty: false },
    },
    {
      name: 'keeps an empty word',
      query: 'command=echo&command=&stdout=1',
      want: { command: ['echo', ''] },
    },
  ])('$name', ({ query, want }) => {
    expect(parseStreamOptions('Exec', query)).toMatchObject(want)
  })

  it('takes a command of 20,000 characters', () => {
    const long = 'x'.repeat(20_000)
    expect(parseStreamOptions('Exec', `command=${long}&stdout=1`).command).toEqual([long])
  })

  it.each([
    ['Exec', 'stdout=true', 'at least one command'],
    ['Exec', 'command=ls', 'at least 1 of stdin, stdout, stderr'],
    ['Exec', 'command=ls&stdout=true&stdout=false', 'is given 2 times'],
    ['Exec', 'command=ls&stdout=yes', 'must be true or false'],
    ['Exec', 'command=ls&stdout=1&container=a&container=b', 'two different containers'],
    ['Exec', `${'command=a&'.repeat(1025)}stdout=1`, 'words at most'],
    ['Attach', 'command=ls&stdout=true', 'attach takes no command'],
  ] as const)('%s?%.60s is refused: %s', (operation, query, message) => {
    expect(() => parseStreamOptions(operation, query)).toThrow(message)
  })
})

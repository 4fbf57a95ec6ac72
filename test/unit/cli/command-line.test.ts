import { describe, expect, it } from '@jest/globals'

import { commandLine } from '../../../lib/cli/command-line.ts'

describe('commandLine shows where each argument begins and ends, and hides nothing', () => {
  it.each([
    { name: 'plain words', command: ['ls', '-la', '/tmp'], want: 'ls -la /tmp' },
    { name: 'a shell script', command: ['sh', '-c', 'id; ls'], want: "sh -c 'id; ls'" },
    { name: 'an empty argument', command: ['echo', ''], want: "echo ''" },
    { name: 'a quote', command: ['echo', "it's"], want: String.raw`echo 'it'\''s'` },
    {
      name: 'a line break and an escape sequence',
      command: ['sh', '-c', 'ls\n\x1b[2Jrm'],
      want: String.raw`sh -c $'ls\n\x1b[2Jrm'`,
    },
    {
      name: 'text run backwards',
      command: ['\u202etxt.exe'],
      want: String.raw`$'\u{202e}txt.exe'`,
    },
    {
      name: 'a quote that would end the quoting',
      command: ["a'\nb\\"],
      want: String.raw`$'a\'\nb\\'`,
    },
    { name: 'nothing', command: [], want: '' },
  ])('$name', ({ command, want }) => {
    expect(commandLine(command)).toBe(want)
  })
})

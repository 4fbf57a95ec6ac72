import { describe, expect, it } from '@jest/globals'

import { parseApprove } from '../../../../lib/cli/approve/command.ts'
import { parseRequestName } from '../../../../lib/cli/approve/find.ts'
import { ExitCode } from '../../../../lib/cli/cli-error.ts'

describe('kubectl approve understands', () => {
  it.each([
    { args: [], want: { kind: 'list', format: 'text' } },
    { args: ['-A', '-o', 'wide', '-w'], want: { kind: 'list', format: 'wide' } },
    { args: ['-ojson'], want: { kind: 'list', format: 'json' } },
    { args: ['-o=yaml'], want: { kind: 'list', format: 'yaml' } },
    { args: ['a'], want: { kind: 'decide', verdict: 'Approve', names: ['a'] } },
    {
      args: ['apreq/a', 'b', '--reason', 'x'],
      want: { kind: 'decide', verdict: 'Approve', names: ['a', 'b'] },
    },
    {
      args: ['-n', 'shop', 'deny', 'a', '--reason=x'],
      want: { kind: 'decide', verdict: 'Deny', names: ['a'] },
    },
    { args: ['show', 'a', '-o', 'yaml'], want: { kind: 'show', format: 'yaml', names: ['a'] } },
    { args: ['apreq/deny'], want: { kind: 'decide', verdict: 'Approve', names: ['deny'] } },
    {
      args: ['deny', 'show', '--reason', 'x'],
      want: { kind: 'decide', verdict: 'Deny', names: ['show'] },
    },
    { args: ['a', '--help'], want: { kind: 'help' } },
    { args: ['help'], want: { kind: 'help' } },
  ])('$args', ({ args, want }) => {
    expect(parseApprove(args)).toMatchObject(want)
  })

  it.each([
    { arg: ['-n', 'shop'] },
    { arg: ['-nshop'] },
    { arg: ['-n=shop'] },
    { arg: ['--namespace', 'shop'] },
    { arg: ['--namespace=shop'] },
  ])('the namespace as $arg', ({ arg }) => {
    const parsed = parseApprove(['a', ...arg])
    expect(parsed.kind === 'decide' && parsed.flags.connection.namespace).toBe('shop')
  })
})

describe('kubectl approve refuses with the code for usage', () => {
  it.each([
    { args: ['deny'], want: 'deny needs the name of a request' },
    { args: ['show'], want: 'show needs the name of a request' },
    { args: ['deny', 'a'], want: 'deny needs --reason' },
    { args: ['deny', 'a', '--reason', ''], want: '--reason needs a value' },
    { args: ['--reason', 'x'], want: '--reason needs the name of a request' },
    { args: ['a', '--reason', 'x'.repeat(1025)], want: 'longer than 1024' },
    { args: ['show', 'a', '--reason', 'x'], want: 'show takes no --reason' },
    { args: ['a', '-w'], want: 'are for the list' },
    { args: ['a', '-A'], want: 'are for the list' },
    { args: ['-n', 'x', '-A'], want: 'exclude each other' },
    { args: ['-o', 'toml'], want: 'unknown output format' },
    { args: ['--bogus'], want: "unknown option '--bogus'" },
    { args: ['pod/a'], want: '"pod/a" is not the name of an approval request' },
    { args: ['../a'], want: 'is not the name of an approval request' },
    { args: ['A'], want: 'is not the name of an approval request' },
  ])('$args', ({ args, want }) => {
    expect(() => parseApprove(args)).toThrow(want)
    expect(() => parseApprove(args)).toThrow(expect.objectContaining({ exitCode: ExitCode.Usage }))
  })
})

describe('parseRequestName takes what kubectl prints', () => {
  it.each([
    'apreq-7k2',
    'apreq/apreq-7k2',
    'approvalrequests/apreq-7k2',
    'approvalrequest.podgate.dev/apreq-7k2',
    'ApprovalRequest/apreq-7k2',
  ])('%s', (text) => {
    expect(parseRequestName(text)).toBe('apreq-7k2')
  })
})

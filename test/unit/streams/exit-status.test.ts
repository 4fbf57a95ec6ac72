import { describe, expect, it } from '@jest/globals'

import { MAX_ERROR_STREAM_BYTES, parseErrorStream } from '../../../lib/streams/exit-status.ts'

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function nonZero(message: string): string {
  return JSON.stringify({
    metadata: {},
    status: 'Failure',
    message: 'command terminated with non-zero exit code: exit status 7',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message }] },
  })
}

describe('parseErrorStream takes for success', () => {
  it.each([
    { name: 'an empty stream', text: '' },
    { name: "the kubelet's Status", text: '{"metadata":{},"status":"Success"}' },
    { name: 'one with a newline', text: '{"status":"Success"}\n' },
  ])('$name', ({ text }) => {
    expect(parseErrorStream(bytes(text))).toEqual({ kind: 'success' })
  })
})

describe('parseErrorStream reads the exit code', () => {
  it.each([0, 1, 3, 7, 128, 137, 255])('%d', (code) => {
    expect(parseErrorStream(bytes(nonZero(String(code))))).toEqual({
      kind: 'exit',
      code,
      message: 'command terminated with non-zero exit code: exit status 7',
    })
  })

  it('among other causes', () => {
    const text = JSON.stringify({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: {
        causes: [null, { reason: 'Other', message: '9' }, { reason: 'ExitCode', message: '4' }],
      },
    })
    expect(parseErrorStream(bytes(text))).toEqual({ kind: 'exit', code: 4, message: '' })
  })
})

describe('parseErrorStream keeps a failure as the server said it', () => {
  it.each([
    {
      name: 'an internal error',
      text: '{"status":"Failure","reason":"InternalError","code":500,"message":"no such container"}',
      want: { reason: 'InternalError', code: 500, message: 'no such container' },
    },
    { name: 'one without any field', text: '{"status":"Failure"}', want: { message: '' } },
    {
      name: 'causes, without fields of a wrong type',
      text: '{"status":"Failure","reason":7,"code":"x","details":{"causes":[{"reason":"A","message":1,"field":"f"}]}}',
      want: { message: '', details: { causes: [{ reason: 'A', field: 'f' }] } },
    },
  ])('$name', ({ text, want }) => {
    expect(parseErrorStream(bytes(text))).toEqual({
      kind: 'failure',
      status: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', ...want },
    })
  })
})

describe('parseErrorStream never takes for success', () => {
  it.each([
    { name: 'plain text of protocol v2', input: bytes('command terminated') },
    { name: 'half a Status', input: bytes('{"metadata":{},"status":"Succ') },
    { name: 'two documents', input: bytes('{"status":"Success"}{"status":"Success"}') },
    { name: 'a bare word', input: bytes('"Success"') },
    { name: 'a list', input: bytes('[{"status":"Success"}]') },
    { name: 'null', input: bytes('null') },
    { name: 'an unknown status', input: bytes('{"status":"success"}') },
    { name: 'no status', input: bytes('{}') },
    { name: 'bytes that are no UTF-8', input: Uint8Array.of(0x22, 0xff, 0x22) },
    { name: 'one space', input: bytes(' ') },
    { name: 'an endless stream', input: new Uint8Array(MAX_ERROR_STREAM_BYTES + 1).fill(0x20) },
    {
      name: 'NonZeroExitCode without causes',
      input: bytes('{"status":"Failure","reason":"NonZeroExitCode"}'),
    },
    ...['', '-1', '256', '1e2', '0x1', '7.0', ' 7', '9'.repeat(30)].map((message) => ({
      name: `the exit code ${JSON.stringify(message)}`,
      input: bytes(nonZero(message)),
    })),
  ])('$name', ({ input }) => {
    expect(parseErrorStream(input).kind).toBe('unparseable')
  })
})

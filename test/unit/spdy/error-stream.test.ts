import { describe, expect, it } from '@jest/globals'

import { errorStreamBytes } from '../../../lib/spdy/error-stream.ts'

const V4 = 'v4.channel.k8s.io'
const SUCCESS = '{"metadata":{},"status":"Success"}'
const FAILURE = '{"status":"Failure","message":"exit status 3","reason":"NonZeroExitCode"}'

describe('errorStreamBytes', () => {
  it.each([
    { name: 'v4 keeps a failure', protocol: V4, status: FAILURE, want: FAILURE },
    { name: 'v4 keeps a success', protocol: V4, status: SUCCESS, want: SUCCESS },
    { name: 'v4 keeps silence', protocol: V4, status: '', want: '' },
    ...['v3.channel.k8s.io', 'v2.channel.k8s.io'].flatMap((protocol) => [
      { name: `${protocol} says the message`, protocol, status: FAILURE, want: 'exit status 3' },
      { name: `${protocol} says nothing on success`, protocol, status: SUCCESS, want: '' },
      { name: `${protocol} keeps silence`, protocol, status: '', want: '' },
      { name: `${protocol} keeps text`, protocol, status: 'boom', want: 'boom' },
      { name: `${protocol} keeps JSON of another kind`, protocol, status: '7', want: '7' },
      {
        name: `${protocol} never lets a failure look like success`,
        protocol,
        status: '{"status":"Failure"}',
        want: 'the command failed',
      },
    ]),
  ])('$name', ({ protocol, status, want }) => {
    expect(Buffer.from(errorStreamBytes(protocol, Buffer.from(status))).toString()).toBe(want)
  })
})

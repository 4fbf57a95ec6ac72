import { describe, expect, it } from '@jest/globals'

import {
  condition,
  CY,
  decision,
  ONCALL,
  type RequestOptions,
} from '../../unit/cli/approve/requests.ts'
import { useDesk } from './desk.ts'

const desk = useDesk()

describe('kubectl approve refuses, in words, and writes nothing', () => {
  it.each([
    {
      name: 'my own request',
      options: { requester: 'bo' },
      args: ['apreq-7k2'],
      code: 5,
      err: 'error: apreq-7k2 is your own request; somebody else has to decide it: group oncall\n',
    },
    {
      name: 'a request for other approvers',
      options: { demands: [[CY]] },
      args: ['apreq-7k2'],
      code: 5,
      err: 'error: you (bo) are not among the approvers of apreq-7k2: user cy\n',
    },
    {
      name: 'one that was denied',
      options: {
        decisions: [decision('cy', 'Deny', ['oncall'], 'no\u001b[2J')],
        conditions: [condition('Denied')],
      },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 is already denied by cy: "no\\x1b[2J"\n',
    },
    {
      name: 'to deny one that was approved',
      options: { decisions: [decision('cy', 'Approve')], conditions: [condition('Approved')] },
      args: ['deny', 'apreq-7k2', '--reason', 'x'],
      code: 1,
      err: 'error: apreq-7k2 is already approved by cy\n',
    },
    {
      name: 'to deny after I approved',
      options: { demands: [[ONCALL], [CY]], decisions: [decision('bo', 'Approve')] },
      args: ['deny', 'apreq-7k2', '--reason', 'x'],
      code: 1,
      err: 'error: you have already approved apreq-7k2; a decision cannot be changed\n',
    },
    {
      name: 'one that was used',
      options: { conditions: [condition('Approved'), condition('Consumed', 'session s-1')] },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 is already consumed: session s-1\n',
    },
    {
      name: 'one that expired',
      options: { expiresInMs: -1000 },
      args: ['apreq-7k2'],
      code: 1,
      err: 'error: apreq-7k2 has expired; the requester has to run the command again to ask anew\n',
    },
  ] as { name: string; options: RequestOptions; args: string[]; code: number; err: string }[])(
    '$name',
    async ({ options, args, code, err }) => {
      desk.put(options)
      const before = desk.server.get('shop', 'apreq-7k2')
      expect(await desk.approve(...args, '-n', 'shop')).toMatchObject({ code, err, out: '' })
      expect(desk.server.get('shop', 'apreq-7k2')).toBe(before)
    },
  )

  it('gives the code of "not allowed" where the API server itself refuses the decision', async () => {
    desk.put()
    desk.forbid((_url, method) => method === 'PATCH')
    expect(await desk.approve('apreq-7k2', '-n', 'shop')).toMatchObject({
      code: 5,
      err: expect.stringMatching(/^Error from server \(Forbidden\): .*\/status is forbidden\n$/),
    })
  })

  it('is content where the same is decided already', async () => {
    desk.put({ decisions: [decision('cy', 'Approve')], conditions: [condition('Approved')] })
    const before = desk.server.get('shop', 'apreq-7k2')
    const { code, out } = await desk.approve('apreq-7k2', '-n', 'shop')
    expect(out).toContain('approvalrequest.podgate.dev/apreq-7k2 already approved\n')
    expect(code).toBe(0)
    expect(desk.server.get('shop', 'apreq-7k2')).toBe(before)
  })
})

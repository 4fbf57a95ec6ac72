/** Refusals name what was asked for, and why the nearest policy does not allow it. */
import { describe, expect, it } from '@jest/globals'

import { evaluate, type PolicyInput } from '../../../lib/policy/evaluate.ts'
import { clusterAccessPolicy, request } from './fixtures.ts'
import { acting, FORWARD, NODE, POD_PROXY, SERVICE, TOKEN, type Match } from './requests.ts'

describe('what a refusal calls it', () => {
  it.each<{ changes: Partial<PolicyInput>; want: string }>([
    { changes: { operation: 'Exec' }, want: 'exec into shop/web-0 (container main)' },
    { changes: { operation: 'Attach' }, want: 'attach to shop/web-0 (container main)' },
    { changes: FORWARD, want: 'forward ports of shop/web-0,' },
    { changes: { ...FORWARD, port: 22 }, want: 'forward port 22 of shop/web-0,' },
    { changes: { operation: 'Logs' }, want: 'read logs of shop/web-0 (container main)' },
    { changes: { operation: 'Copy' }, want: 'copy files from or to shop/web-0 (container main)' },
    { changes: { operation: 'Debug' }, want: 'debug shop/web-0 (container main)' },
    { changes: POD_PROXY, want: 'use the proxy of pod shop/web-0 port 80,' },
    { changes: SERVICE, want: 'use the proxy of service shop/web port 80,' },
    { changes: NODE, want: 'use the proxy of node node-1 port 10250,' },
    { changes: TOKEN, want: 'mint tokens for service account shop/ci,' },
    { changes: acting('bo'), want: 'act as bo,' },
    { changes: acting('bo', ['x', 'y']), want: 'act as bo (groups: x, y),' },
  ])('$want', ({ changes, want }) => {
    expect(evaluate(request([], changes))).toMatchObject({
      id: 1002,
      message: expect.stringContaining(`no policy allows ana (groups: dev) to ${want}`),
    })
  })

  it.each<{ match: Match; changes: Partial<PolicyInput>; want: string }>([
    {
      match: { operations: ['PortForward'], ports: [80, 443] },
      changes: { ...FORWARD, port: 22 },
      want: 'is about the ports 80, 443 only',
    },
    {
      match: { operations: ['Proxy'], services: ['web'] },
      changes: POD_PROXY,
      want: 'is about the proxy of services or nodes',
    },
    {
      match: { operations: ['Proxy'] },
      changes: SERVICE,
      want: 'names no services',
    },
    {
      match: { operations: ['Proxy'], services: ['db'] },
      changes: SERVICE,
      want: 'is about the services db only',
    },
    { match: { operations: ['Proxy'] }, changes: NODE, want: 'names no nodes' },
    {
      match: {
        operations: ['Proxy'],
        services: ['*'],
        podSelector: { matchLabels: { a: 'b' } },
      },
      changes: SERVICE,
      want: 'is about pods only',
    },
    {
      match: { operations: ['TokenRequest'], serviceAccounts: ['build'] },
      changes: TOKEN,
      want: 'is about the service accounts build only',
    },
    {
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'] } },
      changes: acting('root'),
      want: 'is about acting as bo without groups only',
    },
    {
      match: { operations: ['Impersonate'], impersonate: { users: ['bo'], groups: ['a'] } },
      changes: acting('bo', ['b']),
      want: 'is about acting as bo in groups a only',
    },
  ])('and why the nearest policy does not apply: $want', ({ match, changes, want }) => {
    const { message } = evaluate(request([clusterAccessPolicy('p', { match })], changes)) as {
      message: string
    }
    expect(message).toContain(`ClusterAccessPolicy p comes closest, but ${want}.`)
  })

  it('points to the policies of the cluster where there is no namespace', () => {
    expect(evaluate(request([], NODE))).toMatchObject({
      message: expect.stringContaining('See what is allowed: kubectl get capol'),
    })
  })

  it('stays short with names of any length', () => {
    const groups = Array.from({ length: 100 }, (_, n) => `${n}`.repeat(400))
    const { message } = evaluate(request([], acting('u'.repeat(5_000), groups))) as {
      message: string
    }
    expect(message.length).toBeLessThan(900)
  })
})

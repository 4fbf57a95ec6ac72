import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  bindingOf,
  isSelfConsistent,
  policyDigest,
  requestDigest,
  type Binding,
} from '../../../lib/approval/binding.ts'
import { canonicalJson } from '../../../lib/approval/canonical-json.ts'
import { accessPolicy } from '../policy/fixtures.ts'
import { createRequest } from '../../../lib/approval/request.ts'
import { binding, DEBUG, DEMAND, NOW, pending, policyRef } from './fixtures.ts'

const plain = binding()
const { requester, target } = plain

describe('canonicalJson', () => {
  it.each([
    { name: 'sorts keys', value: { b: 1, a: 2 }, want: '{"a":2,"b":1}' },
    {
      name: 'sorts keys by UTF-16 unit',
      value: { '\ufb33': 1, '\u{1f600}': 2 },
      want: '{"\u{1f600}":2,"\ufb33":1}',
    },
    { name: 'leaves out what is undefined', value: { a: undefined, b: null }, want: '{"b":null}' },
    { name: 'keeps the order of lists', value: [2, [1]], want: '[2,[1]]' },
    { name: 'escapes like JSON', value: ['"\n\u2028'], want: '["\\"\\n\u2028"]' },
  ])('$name', ({ value, want }) => {
    expect(canonicalJson(value)).toBe(want)
  })

  it('says the same of an object however its keys came in', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).toReversed())
        expect(canonicalJson(reversed)).toBe(canonicalJson(object))
        expect(JSON.parse(canonicalJson(object))).toEqual({ ...object })
      }),
    )
  })
})

describe('I9: requestDigest', () => {
  it.each<{ name: string; other: Binding }>([
    { name: 'another person', other: binding({ requester: { ...requester, username: 'bo' } }) },
    { name: 'another uid', other: binding({ requester: { ...requester, uid: 'u-2' } }) },
    { name: 'fewer groups', other: binding({ requester: { ...requester, groups: ['dev'] } }) },
    { name: 'another operation', other: binding({ operation: 'Attach' }) },
    { name: 'another cluster', other: binding({ target: { ...target, cluster: 'c-2' } }) },
    { name: 'another namespace', other: binding({ target: { ...target, namespace: 'bank' } }) },
    { name: 'another pod', other: binding({ target: { ...target, pod: 'web-1' } }) },
    { name: 'a pod of the same name', other: binding({ target: { ...target, podUID: 'p-2' } }) },
    { name: 'another container', other: binding({ target: { ...target, container: 'side' } }) },
    { name: 'another image', other: binding({ target: { ...target, image: 'web:2' } }) },
    { name: 'another command', other: binding({ command: ['sh', '-c', 'rm'] }) },
    { name: 'arguments cut elsewhere', other: binding({ command: ['sh', '-c ls'] }) },
    { name: 'arguments in another order', other: binding({ command: ['sh', 'ls', '-c'] }) },
    { name: 'a terminal or none', other: binding({ tty: false }) },
    { name: 'input or none', other: binding({ stdin: false }) },
    { name: 'other policies', other: binding({ policies: [policyRef('other')] }) },
    {
      name: 'a policy that says something else now',
      other: binding({ policies: [{ ...policyRef('base'), digest: 'sha256:new' }] }),
    },
    {
      name: 'a policy made anew under the same name',
      other: binding({ policies: [{ ...policyRef('base'), uid: 'uid-2' }] }),
    },
  ])('tells $name apart', ({ other }) => {
    expect(requestDigest(other)).not.toBe(requestDigest(plain))
  })

  it.each<{ name: string; same: Binding }>([
    {
      name: 'groups in another order, or twice',
      same: binding({ requester: { ...requester, groups: ['staff', 'dev', 'dev'] } }),
    },
    { name: 'the same again', same: binding() },
  ])('takes $name for the same', ({ same }) => {
    expect(requestDigest(same)).toBe(requestDigest(plain))
  })

  it('takes policies in another order for the same', () => {
    const [a, b] = [policyRef('a'), policyRef('b')]
    expect(requestDigest(binding({ policies: [a, b] }))).toBe(
      requestDigest(binding({ policies: [b, a] })),
    )
  })

  const forward = binding({ operation: 'PortForward', target: { ...target, ports: [80] } })
  const proxy = binding({ operation: 'Proxy', target: { ...target, service: 'web' } })
  const token = binding({ operation: 'TokenRequest', target: { ...target, serviceAccount: 'ci' } })
  const debug = binding({ operation: 'Debug', debug: DEBUG })
  it.each<{ name: string; one: Binding; other: Binding }>([
    {
      name: 'another port',
      one: forward,
      other: { ...forward, target: { ...target, ports: [81] } },
    },
    {
      name: 'a further port',
      one: forward,
      other: { ...forward, target: { ...target, ports: [80, 81] } },
    },
    { name: 'no port', one: forward, other: { ...forward, target } },
    {
      name: 'another service',
      one: proxy,
      other: { ...proxy, target: { ...target, service: 'db' } },
    },
    {
      name: 'a port of a service',
      one: proxy,
      other: { ...proxy, target: { ...proxy.target, ports: [80] } },
    },
    {
      name: 'another service account',
      one: token,
      other: { ...token, target: { ...target, serviceAccount: 'admin' } },
    },
    {
      name: 'a service account for a service',
      one: binding({ target: { ...target, service: 'x' } }),
      other: binding({ target: { ...target, serviceAccount: 'x' } }),
    },
    {
      name: 'another debug image',
      one: debug,
      other: { ...debug, debug: { ...DEBUG, image: 'evil:1' } },
    },
    {
      name: 'a debug container that sees others',
      one: debug,
      other: { ...debug, debug: { ...DEBUG, targetContainer: 'side' } },
    },
    {
      name: 'a privileged debug container',
      one: debug,
      other: { ...debug, debug: { ...DEBUG, privileged: true } },
    },
    {
      name: 'another capability',
      one: debug,
      other: { ...debug, debug: { ...DEBUG, capabilities: ['SYS_ADMIN'] } },
    },
    {
      name: 'a debug container that differs in what nobody is shown',
      one: debug,
      other: { ...debug, debug: { ...DEBUG, digest: 'sha256:d-2' } },
    },
    {
      name: 'a copy from a command of the same words',
      one: binding({ operation: 'Copy' }),
      other: binding({ operation: 'Exec' }),
    },
  ])('tells $name apart', ({ one, other }) => {
    expect(requestDigest(one)).not.toBe(requestDigest(other))
  })

  it('takes ports in another order for the same', () => {
    const [a, b] = [
      [80, 443],
      [443, 80],
    ].map((ports) => requestDigest({ ...forward, target: { ...target, ports } }))
    expect(a).toBe(b)
  })

  it('stays what it is, so that requests survive an upgrade of the gateway', () => {
    expect(requestDigest(plain)).toBe(
      'sha256:eee113706cd71acc73cee3199bc9913fdf8492b5abfc4ec01da26869cae5c4f9',
    )
  })
})

describe('isSelfConsistent', () => {
  it('holds for a request as the gateway makes it', () => {
    expect(isSelfConsistent(pending().spec)).toBe(true)
    expect(bindingOf(pending().spec)).toMatchObject({ command: ['sh', '-c', 'ls'] })
  })

  it('holds for Attach, which has no command', () => {
    const attach = binding({ operation: 'Attach', command: [] })
    const spec = { ...pending().spec, operation: 'Attach' as const, digest: requestDigest(attach) }
    delete spec.command
    expect(isSelfConsistent(spec)).toBe(true)
  })

  it.each<{ name: string; asked: Partial<Binding> }>([
    { name: 'a copy', asked: { operation: 'Copy', command: ['tar', 'cf', '-', '/tmp'] } },
    {
      name: 'a port',
      asked: {
        operation: 'PortForward',
        target: { ...target, container: '', image: '', ports: [80] },
        command: [],
      },
    },
    { name: 'logs', asked: { operation: 'Logs', command: ['--tail=5'] } },
    { name: 'a debug container', asked: { operation: 'Debug', debug: DEBUG, command: ['sh'] } },
    {
      name: 'a service',
      asked: {
        operation: 'Proxy',
        target: { ...target, pod: '', podUID: '', container: '', image: '', service: 'web' },
        command: [],
      },
    },
    {
      name: 'a token',
      asked: {
        operation: 'TokenRequest',
        target: { ...target, pod: '', podUID: '', container: '', image: '', serviceAccount: 'ci' },
        command: [],
      },
    },
  ])('holds for $name, and its binding is what was asked', ({ asked }) => {
    const whole = binding(asked)
    // As it comes back from the API server.
    const { spec } = structuredClone(createRequest('apreq-1', whole, DEMAND, NOW))
    expect(isSelfConsistent(spec)).toBe(true)
    expect(requestDigest(bindingOf(spec))).toBe(requestDigest(whole))
    expect(bindingOf(spec).target).toEqual(whole.target)
  })

  it('fails where approvers are shown a harmless debug container', () => {
    const whole = binding({ operation: 'Debug', debug: { ...DEBUG, privileged: true } })
    const { spec } = createRequest('apreq-1', whole, DEMAND, NOW)
    expect(isSelfConsistent({ ...spec, debug: { ...DEBUG, privileged: false } })).toBe(false)
  })

  it('fails where approvers are shown something else than what the digest is of', () => {
    expect(isSelfConsistent({ ...pending().spec, command: ['true'] })).toBe(false)
  })
})

describe('policyDigest', () => {
  const policy = accessPolicy('web')
  it('changes with the spec', () => {
    expect(policyDigest(accessPolicy('web', { effect: 'Deny' }))).not.toBe(policyDigest(policy))
  })

  it('changes when the policy is made anew', () => {
    const anew = { ...policy, metadata: { ...policy.metadata, uid: 'other' } }
    expect(policyDigest(anew)).not.toBe(policyDigest(policy))
  })

  it('does not change with status, labels or versions', () => {
    const touched = {
      ...policy,
      metadata: { ...policy.metadata, labels: { a: 'b' }, resourceVersion: '7' },
      status: { conditions: [] },
    }
    expect(policyDigest(touched)).toBe(policyDigest(policy))
  })
})

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
import { binding, pending, policyRef } from './fixtures.ts'

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

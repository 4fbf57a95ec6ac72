/**
 * Every rule of our custom resources, against a real API server: what is refused, at which field,
 * and what passes. Without admission policies, so that only the definitions speak.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { installResources, namespaceNamed, startApi, type Api } from './harness.ts'
import { APPROVERS, GROUP, KINDS, MATCH, SUBJECTS, tryPolicy, type Refused } from './policies.ts'

let api: Api

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
})

const expression = (fields: object): object => ({
  match: { ...MATCH, podSelector: { matchExpressions: [{ key: 'app', ...fields }] } },
})
const expressionAt = 'spec.match.podSelector.matchExpressions[0]'
const approval = (fields: object): object => ({
  approval: { mode: 'Session', approvers: APPROVERS, ...fields },
})

describe.each(KINDS)('$kind', ({ kind, path }) => {
  it.each<Refused>([
    {
      name: 'a Deny that demands approval',
      spec: { effect: 'Deny', approval: { mode: 'Session', approvers: APPROVERS } },
      field: 'spec.approval',
      message: 'a Deny policy lets nothing through, so it cannot demand approval',
    },
    {
      name: 'a Deny that masks',
      spec: { effect: 'Deny', masking: { detectors: ['Email'] } },
      field: 'spec.masking',
      message: 'a Deny policy lets nothing through, so it has nothing to mask',
    },
    {
      name: 'a Deny that demands a sign-in',
      spec: { effect: 'Deny', signIn: { maxAge: '15m' } },
      field: 'spec.signIn',
      message: 'a Deny policy lets nothing through, so it cannot demand a sign-in',
    },
    {
      name: 'a sign-in of which nothing is demanded',
      spec: { signIn: {} },
      field: 'spec.signIn',
      message: 'name maxAge, acr or amr, or leave out signIn',
    },
    {
      name: 'a sign-in younger than a minute',
      spec: { signIn: { maxAge: '30s' } },
      field: 'spec.signIn.maxAge',
      message: 'maxAge is between 1m and 24h',
    },
    {
      name: 'a sign-in of last week',
      spec: { signIn: { maxAge: '168h' } },
      field: 'spec.signIn.maxAge',
      message: 'maxAge is between 1m and 24h',
    },
    { name: 'an age in words', spec: { signIn: { maxAge: 'soon' } }, field: 'spec.signIn.maxAge' },
    { name: 'no class at all', spec: { signIn: { acr: [] } }, field: 'spec.signIn.acr' },
    {
      name: 'a class that no command line can hold',
      spec: { signIn: { acr: ['a\u001b[2J'] } },
      field: 'spec.signIn.acr[0]',
    },
    {
      name: 'a method of two words',
      spec: { signIn: { amr: ['one two'] } },
      field: 'spec.signIn.amr[0]',
    },
    {
      name: 'a method twice',
      spec: { signIn: { amr: ['otp', 'otp'] } },
      field: 'spec.signIn.amr[1]',
    },
    { name: 'another effect', spec: { effect: 'Audit' }, field: 'spec.effect' },
    { name: 'no subjects', spec: { subjects: [] }, field: 'spec.subjects' },
    {
      name: 'a kind of subject that is not there yet',
      spec: { subjects: [{ kind: 'Robot', name: 'x' }] },
      field: 'spec.subjects[0].kind',
    },
    {
      name: 'the same subject twice',
      spec: { subjects: [...SUBJECTS, ...SUBJECTS] },
      field: 'spec.subjects[1]',
    },
    {
      name: 'a subject without a name',
      spec: { subjects: [{ kind: 'User', name: '' }] },
      field: 'spec.subjects[0].name',
    },
    { name: 'no operations', spec: { match: {} }, field: 'spec.match.operations' },
    {
      name: 'an empty list of operations',
      spec: { match: { operations: [] } },
      field: 'spec.match.operations',
    },
    {
      name: 'an operation that is not there yet',
      spec: { match: { operations: ['Cordon'] } },
      field: 'spec.match.operations[0]',
    },
    {
      name: 'a container no container can be called',
      spec: { match: { ...MATCH, containers: ['Main'] } },
      field: 'spec.match.containers[0]',
    },
    {
      name: 'a label key that no label can have',
      spec: { match: { ...MATCH, podSelector: { matchLabels: { 'a b': 'c' } } } },
      field: 'spec.match.podSelector.matchLabels',
      message: 'a label key is a name of at most 63 characters',
    },
    {
      name: 'a label value that no label can have',
      spec: { match: { ...MATCH, podSelector: { matchLabels: { a: 'b c' } } } },
      field: 'spec.match.podSelector.matchLabels.a',
    },
    {
      name: 'In without values',
      spec: expression({ operator: 'In' }),
      field: `${expressionAt}.values`,
      message: 'In and NotIn need at least one value',
    },
    {
      name: 'NotIn with an empty list',
      spec: expression({ operator: 'NotIn', values: [] }),
      field: `${expressionAt}.values`,
      message: 'In and NotIn need at least one value',
    },
    {
      name: 'Exists with values',
      spec: expression({ operator: 'Exists', values: ['a'] }),
      field: `${expressionAt}.values`,
      message: 'Exists and DoesNotExist take no values',
    },
    {
      name: 'DoesNotExist with values',
      spec: expression({ operator: 'DoesNotExist', values: ['a'] }),
      field: `${expressionAt}.values`,
      message: 'Exists and DoesNotExist take no values',
    },
    {
      name: 'an operator no selector has',
      spec: expression({ operator: 'Gt', values: ['1'] }),
      field: `${expressionAt}.operator`,
    },
    {
      name: 'approval by nobody',
      spec: { approval: { mode: 'Session' } },
      field: 'spec.approval.approvers',
      message: 'name who may approve',
    },
    {
      name: 'approvers who are never asked',
      spec: { approval: { mode: 'Never', approvers: APPROVERS } },
      field: 'spec.approval.approvers',
      message: 'with mode Never nobody is asked',
    },
    { name: 'approval without a mode', spec: { approval: {} }, field: 'spec.approval.mode' },
    {
      name: 'approval of each command, which is not there yet',
      spec: approval({ mode: 'Command' }),
      field: 'spec.approval.mode',
    },
    {
      name: 'a wait of no time',
      spec: approval({ wait: '0s' }),
      field: 'spec.approval.wait',
      message: 'wait is between 1s and 1h',
    },
    {
      name: 'a wait of more than an hour',
      spec: approval({ wait: '61m' }),
      field: 'spec.approval.wait',
      message: 'wait is between 1s and 1h',
    },
    { name: 'a wait without a unit', spec: approval({ wait: '5' }), field: 'spec.approval.wait' },
    {
      name: 'an approval that holds for no time',
      spec: approval({ validFor: '0m' }),
      field: 'spec.approval.validFor',
      message: 'validFor is between 1s and 24h',
    },
    {
      name: 'an approval that holds for more than a day',
      spec: approval({ validFor: '24h1s' }),
      field: 'spec.approval.validFor',
      message: 'validFor is between 1s and 24h',
    },
    {
      name: 'an approval that holds for ever',
      spec: approval({ validFor: '999999999999h' }),
      field: 'spec.approval.validFor',
    },
    {
      name: 'masking of nothing',
      spec: { masking: {} },
      field: 'spec.masking',
      message: 'name at least one detector or pattern',
    },
    {
      name: 'a detector that is not there yet',
      spec: { masking: { detectors: ['Jwt'] } },
      field: 'spec.masking.detectors[0]',
    },
    {
      name: 'a way of masking that is not there yet',
      spec: { masking: { detectors: ['Email'], mode: 'Label' } },
      field: 'spec.masking.mode',
    },
    {
      name: 'two patterns of one name',
      spec: {
        masking: {
          patterns: [
            { name: 'a', pattern: 'x' },
            { name: 'a', pattern: 'y' },
          ],
        },
      },
      field: 'spec.masking.patterns[1]',
    },
    {
      name: 'a pattern without a name',
      spec: { masking: { patterns: [{ pattern: 'x' }] } },
      field: 'spec.masking.patterns[0].name',
    },
  ])('refuses $name', async ({ spec, field, message = '' }) => {
    const outcome = await tryPolicy(api, kind, path, spec)
    expect(outcome.code).toBe(422)
    const causes = outcome.status?.details?.causes ?? []
    expect(causes.map((cause) => cause.field)).toContain(field)
    expect(outcome.message).toContain(message)
  })

  it.each([
    { name: 'guard', spec: { guard: [] }, field: 'spec.guard' },
    {
      name: 'recording.keep',
      spec: { recording: { content: 'Full', keep: '1d' } },
      field: 'spec.recording.keep',
    },
    { name: 'session', spec: { session: {} }, field: 'spec.session' },
    {
      name: 'match.conditions',
      spec: { match: { ...MATCH, conditions: [] } },
      field: 'spec.match.conditions',
    },
    { name: 'approval.required', spec: approval({ required: 2 }), field: 'spec.approval.required' },
    { name: 'approval.maxUses', spec: approval({ maxUses: 2 }), field: 'spec.approval.maxUses' },
  ])('does not swallow $name, which it does not know', async ({ spec, field }) => {
    const outcome = await tryPolicy(api, kind, path, spec)
    expect(outcome).toMatchObject({
      code: 400,
      message: expect.stringContaining(`unknown field "${field}"`),
    })
  })

  it('fills in what is left out', async () => {
    const { body } = await tryPolicy(api, kind, path, {
      approval: { mode: 'Session', approvers: APPROVERS },
      masking: { detectors: ['Email'] },
    })
    expect(body?.['spec']).toEqual({
      effect: 'Allow',
      subjects: SUBJECTS,
      match: MATCH,
      approval: { mode: 'Session', approvers: APPROVERS, wait: '5m', validFor: '30m' },
      masking: { detectors: ['Email'], mode: 'Redact' },
    })
  })

  it('takes everything that it knows', async () => {
    const outcome = await tryPolicy(api, kind, path, {
      effect: 'Allow',
      subjects: [
        ...SUBJECTS,
        { kind: 'User', name: 'ana@corp' },
        // As it was written before there was a kind for it.
        { kind: 'User', name: 'system:serviceaccount:ci:robot' },
        { kind: 'ServiceAccount', name: 'robot', namespace: 'ci' },
        { kind: 'ServiceAccount', name: 'robot', namespace: 'shop' },
      ],
      match: {
        operations: ['Exec', 'Attach'],
        podSelector: {
          matchLabels: { 'app.kubernetes.io/name': 'web', tier: '' },
          matchExpressions: [
            { key: 'a', operator: 'In', values: ['x', 'y'] },
            { key: 'b', operator: 'NotIn', values: ['z'] },
            { key: 'c', operator: 'Exists' },
            { key: 'd.io/e', operator: 'DoesNotExist' },
          ],
        },
        containers: ['main', 'side-*', 'db-?'],
      },
      approval: { mode: 'Session', approvers: APPROVERS, wait: '1h', validFor: '24h' },
      masking: {
        detectors: ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress'],
        patterns: [{ name: 'customer-no', pattern: 'CUST-[0-9]{6}' }],
        mode: 'Redact',
      },
    })
    expect(outcome).toMatchObject({ code: 200 })
  })

  it('takes a plain Deny and a plain Never', async () => {
    expect(await tryPolicy(api, kind, path, { effect: 'Deny' })).toMatchObject({ code: 200 })
    expect(await tryPolicy(api, kind, path, { approval: { mode: 'Never' } })).toMatchObject({
      code: 200,
    })
  })
})

describe('namespaceSelector', () => {
  const spec = { match: { ...MATCH, namespaceSelector: { matchLabels: { env: 'prod' } } } }
  it('selects namespaces for a ClusterAccessPolicy', async () => {
    expect(
      await tryPolicy(api, 'ClusterAccessPolicy', `${GROUP}/clusteraccesspolicies`, spec),
    ).toMatchObject({
      code: 200,
    })
  })

  it('follows the same rules as podSelector', async () => {
    const outcome = await tryPolicy(api, 'ClusterAccessPolicy', `${GROUP}/clusteraccesspolicies`, {
      match: { ...MATCH, namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
    })
    expect(outcome.status?.details?.causes?.[0]).toMatchObject({
      field: 'spec.match.namespaceSelector.matchExpressions[0].values',
    })
  })

  it('is not known to an AccessPolicy, which is about its own namespace', async () => {
    const path = `${GROUP}/namespaces/shop/accesspolicies`
    expect(await tryPolicy(api, 'AccessPolicy', path, spec)).toMatchObject({
      code: 400,
      message: expect.stringContaining('unknown field "spec.match.namespaceSelector"'),
    })
  })
})

/** What limits an operation that is allowed: copies, debug containers, recording. */
import { describe, expect, it } from '@jest/globals'

import type { DebugFacts } from '../../../lib/api/debug-facts.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import type { Operation } from '../../../lib/api/operation.ts'
import { parseBytes } from '../../../lib/policy/compile-limits.ts'
import { evaluate } from '../../../lib/policy/evaluate.ts'
import { accessPolicy, clusterAccessPolicy, compile, request } from './fixtures.ts'

type Spec = ClusterAccessPolicy['spec']

const FACTS: DebugFacts = {
  image: 'busybox:1.36',
  command: ['sh'],
  targetContainer: 'main',
  capabilities: ['SYS_PTRACE'],
  privileged: false,
  digest: 'sha256:1',
}

const debugging = (debug?: Spec['debug'], name = 'p'): ClusterAccessPolicy =>
  clusterAccessPolicy(name, {
    match: { operations: ['Debug'] },
    ...(debug === undefined ? {} : { debug }),
  })

describe('limits of debug containers', () => {
  it.each<{ name: string; debug?: Spec['debug']; facts?: Partial<DebugFacts>; refusal?: string }>([
    { name: 'any plain image where nothing is said' },
    {
      name: 'an image among those named',
      debug: { images: ['alpine', 'busybox:*'] },
    },
    {
      name: 'no other image',
      debug: { images: ['busybox:*', 'tools/*'] },
      facts: { image: 'evil:1' },
      refusal: 'image evil:1 is not among busybox:*, tools/* (spec.debug.images)',
    },
    {
      name: 'several images only by a policy that allows any',
      debug: { images: ['busybox:*'] },
      facts: { image: '[busybox:1 evil:1]' },
      refusal: 'image [busybox:1 evil:1] is not among busybox:*',
    },
    {
      name: 'no privileged container unless said',
      facts: { privileged: true },
      refusal: 'spec.debug.privileged is not true',
    },
    {
      name: 'a privileged container where said',
      debug: { privileged: true },
      facts: { privileged: true },
    },
    {
      name: 'no capability beside SYS_PTRACE unless said',
      facts: { capabilities: ['NET_ADMIN', 'SYS_PTRACE'] },
      refusal: 'capability NET_ADMIN is not among those allowed: SYS_PTRACE',
    },
    {
      name: 'a capability that is named',
      debug: { capabilities: ['NET_ADMIN', 'SYS_PTRACE'] },
      facts: { capabilities: ['NET_ADMIN', 'SYS_PTRACE'] },
    },
    {
      name: 'not even SYS_PTRACE by an empty list',
      debug: { capabilities: [] },
      refusal: 'capability SYS_PTRACE is not among those allowed: none',
    },
    {
      name: 'every capability by ALL',
      debug: { capabilities: ['ALL'] },
      facts: { capabilities: ['SYS_ADMIN', 'ALL'] },
    },
    {
      name: 'not ALL by some',
      debug: { capabilities: ['SYS_ADMIN'] },
      facts: { capabilities: ['ALL'] },
      refusal: 'capability ALL is not among',
    },
  ])('$name', ({ debug, facts = {}, refusal }) => {
    const decision = evaluate(
      request([debugging(debug)], { operation: 'Debug', debug: { ...FACTS, ...facts } }),
    )
    if (refusal === undefined) {
      expect(decision).toMatchObject({ kind: 'allow' })
      return
    }
    expect(decision).toMatchObject({ kind: 'deny', id: 1034, policy: { name: 'p' } })
    expect(decision).toMatchObject({ message: expect.stringContaining(refusal) })
    expect(decision).toMatchObject({ message: expect.stringContaining('ClusterAccessPolicy p:') })
  })

  it('hold for every policy that matches', () => {
    const policies = [
      debugging({ privileged: true }, 'wide'),
      debugging({ images: ['busybox:*'], privileged: true }, 'narrow'),
    ]
    const decide = (image: string): object =>
      evaluate(request(policies, { operation: 'Debug', debug: { ...FACTS, image } }))
    expect(decide('busybox:1')).toMatchObject({ kind: 'allow' })
    expect(decide('alpine')).toMatchObject({ id: 1034, policy: { name: 'narrow' } })
  })

  it('come after what denies, and refuse what nobody can tell', () => {
    const denying = clusterAccessPolicy('no', {
      effect: 'Deny',
      match: { operations: ['Debug'] },
    })
    const input = { operation: 'Debug' as const, debug: { ...FACTS, privileged: true } }
    expect(evaluate(request([debugging(), denying], input))).toMatchObject({ id: 1001 })
    expect(evaluate(request([debugging()], { operation: 'Debug' }))).toMatchObject({ id: 1034 })
  })

  it('stay readable with an image of any length', () => {
    const decision = evaluate(
      request([debugging({ images: ['a'.repeat(512), 'b'.repeat(512)] })], {
        operation: 'Debug',
        debug: { ...FACTS, image: 'x'.repeat(5_000) },
      }),
    ) as { message: string }
    expect(decision.message.length).toBeLessThan(800)
  })
})

const copying = (
  name: string,
  copy?: Spec['copy'],
  spec: Partial<Spec> = {},
): ClusterAccessPolicy =>
  clusterAccessPolicy(name, {
    match: { operations: ['Copy', 'Exec'] },
    ...(copy === undefined ? {} : { copy }),
    ...spec,
  })

describe('limits of copies', () => {
  it.each<{ name: string; copies: (Spec['copy'] | undefined)[]; want: object | undefined }>([
    { name: 'are none where no policy has any', copies: [undefined, undefined], want: undefined },
    {
      name: 'are those of the one policy that has some',
      copies: [undefined, { maxBytes: '1Ki' }],
      want: {
        directions: ['Download', 'Upload'],
        pathSets: [],
        maxBytes: 1024,
        maskText: false,
      },
    },
    {
      name: 'let through only what all let through',
      copies: [
        { directions: ['Download'], paths: ['/var/*', '/tmp/*'], maxBytes: '2Mi' },
        { paths: ['/var/log/*'], maxBytes: '1048577' },
      ],
      want: {
        directions: ['Download'],
        pathSets: [['/var/*', '/tmp/*'], ['/var/log/*']],
        maxBytes: 1_048_577,
        maskText: false,
      },
    },
    {
      name: 'let through nothing where two contradict each other',
      copies: [{ directions: ['Download'] }, { directions: ['Upload'] }],
      want: { directions: [], pathSets: [], maxBytes: undefined, maskText: false },
    },
  ])('$name', ({ copies, want }) => {
    const policies = copies.map((copy, index) => copying(`p${index}`, copy))
    expect(evaluate(request(policies, { operation: 'Copy' }))).toMatchObject({
      kind: 'allow',
      obligations: { copy: want },
    })
  })

  it('mask text where any policy says so', () => {
    const policies = [
      copying('a', { maxBytes: '1Gi' }),
      copying('b', { maskText: true }, { masking: { detectors: ['Email'] } }),
    ]
    expect(evaluate(request(policies, { operation: 'Copy' }))).toMatchObject({
      obligations: { copy: { maskText: true, maxBytes: 1024 ** 3 }, masking: {} },
    })
  })

  it('are nothing to a shell that the same policy allows', () => {
    expect(evaluate(request([copying('a', { maxBytes: '1Ki' })]))).toMatchObject({
      obligations: { copy: undefined },
    })
  })
})

describe('what is kept of a session', () => {
  const matchAll: Spec['match'] = {
    operations: ['Exec', 'Attach', 'Logs', 'Copy', 'Debug', 'PortForward', 'Proxy'],
  }
  const keeping = (name: string, content?: 'Full' | 'Digest'): ClusterAccessPolicy =>
    clusterAccessPolicy(name, {
      match: matchAll,
      ...(content === undefined ? {} : { recording: { content } }),
    })

  it.each<{ operation: Operation; want: string }>([
    { operation: 'Exec', want: 'Full' },
    { operation: 'Attach', want: 'Full' },
    { operation: 'Debug', want: 'Full' },
    { operation: 'Logs', want: 'Digest' },
    { operation: 'Copy', want: 'Digest' },
    { operation: 'PortForward', want: 'Digest' },
    { operation: 'Proxy', want: 'Digest' },
  ])('is usually $want for $operation', ({ operation, want }) => {
    const decision = evaluate(request([keeping('a')], { operation, debug: FACTS }))
    expect(decision).toMatchObject({ kind: 'allow', obligations: { content: want } })
  })

  it.each<{ name: string; said: ('Full' | 'Digest' | undefined)[]; want: string }>([
    {
      name: 'Digest where one says so and none says Full',
      said: ['Digest', undefined],
      want: 'Digest',
    },
    { name: 'Full where any says so', said: ['Digest', 'Full', undefined], want: 'Full' },
  ])('is $name', ({ said, want }) => {
    const policies = said.map((content, index) => keeping(`p${index}`, content))
    for (const operation of ['Exec', 'Logs'] as const) {
      expect(evaluate(request(policies, { operation }))).toMatchObject({
        obligations: { content: want },
      })
    }
  })
})

describe('what is broken in a policy', () => {
  it.each<{ name: string; spec: object; field: string }>([
    {
      name: 'an operation of later',
      spec: { match: { operations: ['Exec', 'Cordon'] } },
      field: 'spec.match.operations',
    },
    {
      name: 'a port that is none',
      spec: { match: { operations: ['PortForward'], ports: [80, 70_000] } },
      field: 'spec.match.ports',
    },
    {
      name: 'tokens of nobody knows whom',
      spec: { match: { operations: ['TokenRequest'] } },
      field: 'spec.match.serviceAccounts',
    },
    {
      name: 'acting as nobody knows whom',
      spec: { match: { operations: ['Impersonate'] } },
      field: 'spec.match.impersonate',
    },
    {
      name: 'masking of raw bytes',
      spec: { match: { operations: ['Exec', 'PortForward'] }, masking: { detectors: ['Email'] } },
      field: 'spec.masking',
    },
    {
      name: 'approval of acting as others',
      spec: {
        match: { operations: ['Impersonate'], impersonate: { users: ['bo'] } },
        approval: { mode: 'Session', approvers: [{ kind: 'User', name: 'bo' }] },
      },
      field: 'spec.approval',
    },
    {
      name: 'limits of copies without Copy',
      spec: { copy: { maxBytes: '1' } },
      field: 'spec.copy',
    },
    {
      name: 'limits of debugging without Debug',
      spec: { debug: { privileged: true } },
      field: 'spec.debug',
    },
    {
      name: 'masked text without masks',
      spec: { match: { operations: ['Copy'] }, copy: { maskText: true } },
      field: 'spec.copy.maskText',
    },
    {
      name: 'a direction of its own',
      spec: { match: { operations: ['Copy'] }, copy: { directions: ['Upload', 'Sideways'] } },
      field: 'spec.copy.directions',
    },
    {
      name: 'a relative path',
      spec: { match: { operations: ['Copy'] }, copy: { paths: ['tmp/*'] } },
      field: 'spec.copy.paths',
    },
    {
      name: 'a size that is none',
      spec: { match: { operations: ['Copy'] }, copy: { maxBytes: '1TB' } },
      field: 'spec.copy.maxBytes',
    },
    {
      name: 'a content of its own',
      spec: { recording: { content: 'None' } },
      field: 'spec.recording.content',
    },
  ])('is named: $name', ({ spec, field }) => {
    const { errors } = compile(clusterAccessPolicy('p', spec))
    expect(errors.map((error) => error.field)).toEqual([field])
  })

  it('is Impersonate in an AccessPolicy, which is about one namespace', () => {
    const policy = accessPolicy('p')
    Object.assign(policy.spec.match, {
      operations: ['Exec', 'Impersonate'],
      impersonate: { users: ['*'] },
    })
    expect(compile(policy).errors).toMatchObject([{ field: 'spec.match.operations' }])
  })

  it('refuses every operation by one it does not know', () => {
    const later = accessPolicy('later')
    Object.assign(later.spec.match, { operations: ['Cordon'] })
    expect(evaluate(request([accessPolicy('whole'), later]))).toMatchObject({ id: 1003 })
  })

  it('refuses every port by one that is none', () => {
    const match = { operations: ['PortForward' as const] }
    const policies = [
      accessPolicy('whole', { match }),
      accessPolicy('bad', { match: { ...match, ports: [0] } }),
    ]
    for (const port of [{ port: 80 }, {}]) {
      const input = { operation: 'PortForward' as const, ...port }
      expect(evaluate(request(policies, input))).toMatchObject({ id: 1003 })
    }
  })

  it.each<{ name: string; changes: object }>([
    { name: 'the proxy of pods', changes: { operation: 'Proxy', port: 80 } },
    { name: 'services', changes: { operation: 'Proxy', pod: undefined, service: 'web' } },
    {
      name: 'nodes',
      changes: {
        operation: 'Proxy',
        pod: undefined,
        node: 'n',
        namespace: { name: '', labels: {} },
      },
    },
    {
      name: 'tokens',
      changes: { operation: 'TokenRequest', pod: undefined, serviceAccount: 'ci' },
    },
    {
      name: 'people in groups',
      changes: {
        operation: 'Impersonate',
        pod: undefined,
        namespace: { name: '', labels: {} },
        impersonate: { user: 'bo', groups: ['a'] },
      },
    },
  ])('refuses $name by a policy that cannot be read at all', ({ changes }) => {
    const nothing = clusterAccessPolicy('nothing')
    Object.assign(nothing, { spec: 'what' })
    expect(evaluate(request([nothing], changes))).toMatchObject({ id: 1003 })
  })
})

describe('parseBytes', () => {
  it.each([
    { text: '0', want: 0 },
    { text: '4096', want: 4096 },
    { text: '1Ki', want: 1024 },
    { text: '100Mi', want: 104_857_600 },
    { text: '2Gi', want: 2_147_483_648 },
    { text: '', want: undefined },
    { text: 'Mi', want: undefined },
    { text: '1M', want: undefined },
    { text: '1.5Mi', want: undefined },
    { text: '-1', want: undefined },
    { text: '99999999999Gi', want: undefined },
  ])('"$text" is $want', ({ text, want }) => {
    expect(parseBytes(text)).toBe(want)
  })
})

/** What counts as a debug pod, how much it may do, and which two are the same one. */
import { describe, expect, it } from '@jest/globals'

import { debugObjection } from '../../../../lib/policy/debug-limits.ts'
import {
  ephemeralFacts,
  isDebugPod,
  podDebugFacts,
  stablePodName,
} from '../../../../lib/proxy/debug/debug-facts.ts'
import type { PodSpec, SpecContainer, SpecPod } from '../../../../lib/proxy/debug/pod-spec.ts'

const MAIN: SpecContainer = { name: 'main', image: 'web:1' }

function pod(spec: Partial<PodSpec> = {}, name = 'web-0'): SpecPod {
  const metadata = { name, namespace: 'shop', uid: 'u' }
  return { metadata, spec: { containers: [MAIN], ...spec } }
}

function withMain(changes: Partial<SpecContainer>): Partial<PodSpec> {
  return { containers: [{ ...MAIN, ...changes }] }
}

const added = (...add: string[]): Partial<SpecContainer> => ({
  securityContext: { capabilities: { add } },
})
const HOST_ROOT: Partial<PodSpec> = { volumes: [{ name: 'host', hostPath: { path: '/' } }] }

describe('a pod of one’s own', () => {
  it.each<[string, Partial<PodSpec>, boolean, boolean]>([
    ['that runs a program is none of ours', {}, false, false],
    ['with capabilities of every container', withMain(added('NET_BIND_SERVICE')), false, false],
    ['with volumes of its own', { volumes: [{ name: 'data' }] }, false, false],
    ['with standard input is one to sit in', withMain({ stdin: true }), true, false],
    ['that shares its processes', { shareProcessNamespace: true }, true, false],
    ['with one more capability', withMain(added('SYS_PTRACE')), true, false],
    [
      'with one more in an init container',
      { initContainers: [{ ...MAIN, ...added('CAP_BPF') }] },
      true,
      false,
    ],
    ['with the processes of the node', { hostPID: true }, true, true],
    ['with the memory of the node', { hostIPC: true }, true, true],
    ['with the network of the node', { hostNetwork: true }, true, true],
    ['with the files of the node', HOST_ROOT, true, true],
    ['that is privileged', withMain({ securityContext: { privileged: true } }), true, true],
    [
      'with a privileged init container',
      { initContainers: [{ ...MAIN, securityContext: { privileged: true } }] },
      true,
      true,
    ],
    [
      'on the host of Windows',
      { securityContext: { windowsOptions: { hostProcess: true } } },
      true,
      true,
    ],
    [
      'with one container on the host of Windows',
      withMain({ securityContext: { windowsOptions: { hostProcess: true } } }),
      true,
      true,
    ],
  ])('%s', (_name, spec, isDebug, privileged) => {
    expect(isDebugPod(pod(spec).spec)).toBe(isDebug)
    expect(podDebugFacts(pod(spec)).privileged).toBe(privileged)
  })

  it('has the command of the container to sit in, and all images', () => {
    const containers = [
      { ...MAIN, command: ['serve'] },
      { name: 'debugger-a1b2c', image: 'sh:1', command: ['sh'], args: ['-l'], stdin: true },
    ]
    expect(podDebugFacts(pod({ containers }))).toMatchObject({
      image: 'sh:1, web:1',
      images: ['sh:1', 'web:1'],
      command: ['sh', '-l'],
      targetContainer: '',
    })
  })
})

describe('limits on images', () => {
  it.each([
    ['sh:1', 'sh:1', undefined],
    ['sh:1', 'evil:1', 'evil:1'],
    ['evil:1', 'sh:1', 'evil:1'],
  ])('look at each image of a pod: %s, %s', (first, second, want) => {
    const containers = [
      { name: 'a', image: first },
      { name: 'b', image: second },
    ]
    const limits = { images: ['*sh:*'], capabilities: [], privileged: false }
    const objection = debugObjection(limits, podDebugFacts(pod({ containers })))
    if (want === undefined) expect(objection).toBeUndefined()
    else expect(objection).toContain(`image ${want} is not among`)
  })
})

describe('capabilities', () => {
  it.each([
    [['SYS_PTRACE'], ['SYS_PTRACE']],
    [
      ['cap_sys_admin', 'CAP_NET_ADMIN', 'NET_ADMIN'],
      ['NET_ADMIN', 'SYS_ADMIN'],
    ],
    [['ALL'], ['ALL']],
    [['CAP_CHOWN', 'kill'], []],
  ])('%j add %j', (add, want) => {
    const container = { ...MAIN, ...added(...add) }
    expect(ephemeralFacts(pod(), container).capabilities).toEqual(want)
  })
})

describe('a debug container', () => {
  const mounting = { ...MAIN, volumeMounts: [{ name: 'host', mountPath: '/host' }] }
  it.each<[string, Partial<PodSpec>, SpecContainer, boolean]>([
    ['as it comes', {}, MAIN, false],
    ['that is privileged', {}, { ...MAIN, securityContext: { privileged: true } }, true],
    ['in a pod on the network of the node', { hostNetwork: true }, MAIN, true],
    ['beside files of the node that it does not mount', HOST_ROOT, MAIN, false],
    ['with files of the node', HOST_ROOT, mounting, true],
    ['with other files', { volumes: [{ name: 'host' }] }, mounting, false],
  ])('%s', (_name, spec, container, privileged) => {
    expect(ephemeralFacts(pod(spec), container).privileged).toBe(privileged)
  })
})

describe('the digest', () => {
  const ephemeral = (changes: object): string =>
    ephemeralFacts(pod(), { ...MAIN, ...changes }).digest
  const whole = (spec: Partial<PodSpec>, name?: string): string =>
    podDebugFacts(pod(spec, name)).digest

  it('is the same whatever name kubectl makes up', () => {
    expect(ephemeral({ name: 'debugger-zzzzz' })).toBe(ephemeral({ name: 'other' }))
    const node = (random: string): string =>
      whole({ containers: [{ ...MAIN, name: `debugger-${random}` }] }, `node-debugger-n1-${random}`)
    expect(node('aaaaa')).toBe(node('zzzzz'))
  })

  it.each<[string, object]>([
    ['the image', { image: 'web:2' }],
    ['the command', { command: ['sh'] }],
    ['the order of arguments', { args: ['b', 'a'] }],
    ['the target', { targetContainerName: 'main' }],
    ['the security context', { securityContext: { runAsUser: 0 } }],
    ['the environment', { env: [{ name: 'A' }] }],
    ['what nobody has thought of yet', { newField: 1 }],
  ])('is another one with %s', (_name, changes) => {
    expect(ephemeral(changes)).not.toBe(ephemeral({ args: ['a', 'b'] }))
    expect(whole(withMain(changes))).not.toBe(whole(withMain({ args: ['a', 'b'] })))
  })

  it('tells apart which of two volumes with made-up names is mounted', () => {
    const volumes = [
      { name: 'kube-api-access-aaaaa', hostPath: { path: '/' } },
      { name: 'kube-api-access-bbbbb' },
    ]
    const mounting = (name: string): string =>
      whole({ volumes, ...withMain({ volumeMounts: [{ name, mountPath: '/x' }] }) })
    expect(mounting('kube-api-access-aaaaa')).not.toBe(mounting('kube-api-access-bbbbb'))
  })

  it('holds the node that was asked for, and not the one that the scheduler chose', () => {
    expect(whole({ nodeName: 'n1' })).not.toBe(whole({ nodeName: 'n2' }))
    expect(podDebugFacts(pod({ nodeName: 'n1' }), 'byScheduler').digest).toBe(whole({}))
  })

  it('leaves out debug containers that came later', () => {
    expect(whole({ ephemeralContainers: [MAIN] })).toBe(whole({}))
  })
})

describe('the name that an approval knows a pod by', () => {
  it.each([
    [{ name: 'node-debugger-n1-x7k2p' }, 'node-debugger-n1'],
    [{ name: 'node-debugger-x7k2p' }, 'node-debugger-x7k2p'],
    [{ name: 'web-0-x7k2p' }, 'web-0-x7k2p'],
    [{ name: 'run-x', generateName: 'run-' }, 'run'],
    [{ name: 'plain', generateName: '' }, 'plain'],
  ])('%j is %s', (metadata, want) => {
    expect(stablePodName({ namespace: 'shop', uid: 'u', ...metadata })).toBe(want)
  })
})

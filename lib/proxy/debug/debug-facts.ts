/**
 * What a debug container or pod would be, in the words of policies, approvals and records. PURE.
 *
 * Whoever decides on it decides on all of it: the digest covers the whole container, or the whole
 * pod, except names that kubectl makes up anew with each try.
 */
import type { DebugFacts } from '../../api/debug-facts.ts'
import type { Canonical } from '../../approval/canonical-json.ts'
import { sha256Digest } from '../../approval/canonical-json.ts'
import type { PodSpec, SpecContainer, SpecPod } from './pod-spec.ts'

/** What containerd and CRI-O give each container; asking for these adds nothing. */
const OF_THE_RUNTIME = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])

/** Runtimes take capabilities in any case, with `CAP_` and without. */
function addedCapabilities(containers: readonly SpecContainer[]): string[] {
  const added = containers
    .flatMap(({ securityContext }) => securityContext?.capabilities?.add ?? [])
    .map((name) => name.toUpperCase().replace(/^CAP_/, ''))
  return [...new Set(added)].filter((name) => !OF_THE_RUNTIME.has(name)).toSorted()
}

function isPrivileged({ securityContext }: SpecContainer): boolean {
  return (
    securityContext?.privileged === true || securityContext?.windowsOptions?.hostProcess === true
  )
}

/** Shares processes, network or memory with the node, so that every container of the pod does. */
function isOnNode({ hostPID, hostIPC, hostNetwork, securityContext }: PodSpec): boolean {
  return (
    hostPID === true ||
    hostIPC === true ||
    hostNetwork === true ||
    securityContext?.windowsOptions?.hostProcess === true
  )
}

function hostVolumes({ volumes = [] }: PodSpec): Set<string> {
  return new Set(volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name))
}

function commandOf({ command = [], args = [] }: SpecContainer): string[] {
  return [...command, ...args]
}

function digestOf(format: string, what: object): string {
  // Of JSON by nature: it came out of the API as such.
  return sha256Digest({ format, what: what as Canonical })
}

/** A container beside those that the pod has, in the pod's own namespaces and volumes. */
export function ephemeralFacts({ spec }: SpecPod, container: SpecContainer): DebugFacts {
  const { name: _name, ...decided } = container
  const onHost = hostVolumes(spec)
  const mounted = [...(container.volumeMounts ?? []), ...(container.volumeDevices ?? [])]
  return {
    image: container.image ?? '',
    command: commandOf(container),
    targetContainer: container.targetContainerName ?? '',
    capabilities: addedCapabilities([container]),
    privileged:
      isPrivileged(container) || isOnNode(spec) || mounted.some(({ name }) => onHost.has(name)),
    digest: digestOf('podgate.dev/v1alpha1 debug container', decided),
  }
}

function allContainers({ containers, initContainers = [] }: PodSpec): SpecContainer[] {
  return [...containers, ...initContainers]
}

/** A pod to sit in, or one that reaches beyond itself. Every other pod is none of our business. */
export function isDebugPod(spec: PodSpec): boolean {
  const containers = allContainers(spec)
  return (
    spec.shareProcessNamespace === true ||
    isOnNode(spec) ||
    hostVolumes(spec).size > 0 ||
    containers.some((container) => container.stdin === true || isPrivileged(container)) ||
    addedCapabilities(containers).length > 0
  )
}

/** The one to sit in. */
export function mainContainer({ containers }: PodSpec): SpecContainer | undefined {
  return containers.find(({ stdin }) => stdin === true) ?? containers[0]
}

/** Policies look at each image, people at all of them. */
function imagesOf(containers: readonly SpecContainer[]): Pick<DebugFacts, 'image' | 'images'> {
  const images = [...new Set(containers.map(({ image = '' }) => image))].toSorted()
  return images.length === 1 ? { image: images[0] ?? '' } : { image: images.join(', '), images }
}

/** kubectl debug and the service account's admission end names in five random characters. */
const MADE_UP = /^(debugger|kube-api-access)-[a-z0-9]{5}$/

/** They are numbered as they come, so that two of them can never stand for each other. */
function withNumberedNames(value: unknown, seen: Map<string, string>): unknown {
  if (Array.isArray(value)) return value.map((child) => withNumberedNames(child, seen))
  if (typeof value !== 'object' || value === null) return value
  const members: [string, unknown][] = Object.entries(value)
  return Object.fromEntries(
    members.map(([key, child]) => {
      const stem = key === 'name' && typeof child === 'string' && MADE_UP.exec(child)?.[1]
      if (typeof stem !== 'string') return [key, withNumberedNames(child, seen)]
      const name = String(child)
      const numbered = seen.get(name) ?? `${stem}-#${seen.size}`
      seen.set(name, numbered)
      return [key, numbered]
    }),
  )
}

/**
 * @param scheduled the pod is on a node: the scheduler has put it there when nobody asked for one
 */
export function podDebugFacts({ spec }: SpecPod, scheduled?: 'byScheduler'): DebugFacts {
  const containers = allContainers(spec)
  const main = mainContainer(spec)
  const { ephemeralContainers: _later, nodeName, ...decided } = spec
  const asked = scheduled === undefined ? { ...decided, nodeName } : decided
  return {
    ...imagesOf(containers),
    command: main === undefined ? [] : commandOf(main),
    targetContainer: '',
    capabilities: addedCapabilities(containers),
    privileged: isOnNode(spec) || hostVolumes(spec).size > 0 || containers.some(isPrivileged),
    digest: digestOf(
      'podgate.dev/v1alpha1 debug pod',
      withNumberedNames(asked, new Map()) as object,
    ),
  }
}

/** `node-debugger-n1-x7k2p` is another pod with each try of `kubectl debug node/n1`. */
export function stablePodName({ name, generateName }: SpecPod['metadata']): string {
  if (generateName !== undefined && generateName !== '') return generateName.replace(/-$/, '')
  return name.replace(/^(node-debugger-.+)-[a-z0-9]{5}$/, '$1')
}

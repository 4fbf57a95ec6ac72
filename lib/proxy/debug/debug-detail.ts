/** What an auditor wants to know of a debug container or pod, beside the DebugFacts. PURE. */
import type { SessionEvent } from '../../recording/event.ts'
import { mainContainer } from './debug-facts.ts'
import type { PodSpec, SpecContainer, SpecPod } from './pod-spec.ts'

/** Names only: what a secret holds is read by the container, not by us. */
function secretsOf({ env = [], envFrom = [] }: SpecContainer): string[] {
  const single = env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name)
  const whole = envFrom.map(({ secretRef }) => secretRef?.name)
  return [...new Set([...single, ...whole].filter((name) => name !== undefined))]
}

function containerDetail(container: SpecContainer): Record<string, unknown> {
  const { name, image, command, args, stdin, tty, securityContext } = container
  const { volumeMounts = [], volumeDevices = [] } = container
  return {
    name,
    image,
    command,
    args,
    stdin,
    tty,
    securityContext,
    mounts: volumeMounts.map((mount) => `${mount.name}:${mount.mountPath}`),
    devices: volumeDevices.map((device) => `${device.name}:${device.devicePath}`),
    secrets: secretsOf(container),
  }
}

export function ephemeralEvent(container: SpecContainer): SessionEvent {
  const { name, image = '', targetContainerName = '' } = container
  const detail = { ...containerDetail(container), targetContainer: targetContainerName }
  return { type: 'debug', container: name, image, detail }
}

function nodeDetail(spec: PodSpec): Record<string, unknown> {
  const { hostPID, hostIPC, hostNetwork, shareProcessNamespace, nodeName } = spec
  const { serviceAccountName, volumes = [] } = spec
  return {
    hostPID,
    hostIPC,
    hostNetwork,
    shareProcessNamespace,
    nodeName,
    serviceAccountName,
    hostPaths: volumes.flatMap(({ hostPath }) => hostPath?.path ?? []),
  }
}

export function podEvent({ metadata, spec }: SpecPod): SessionEvent {
  const main = mainContainer(spec)
  const containers = [...(spec.initContainers ?? []), ...spec.containers].map(containerDetail)
  const { name, generateName } = metadata
  return {
    type: 'debug',
    container: main?.name ?? '',
    image: main?.image ?? '',
    detail: { pod: generateName ?? name, ...nodeDetail(spec), containers },
  }
}

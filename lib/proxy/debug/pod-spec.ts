/** The parts of a pod that make it more than a program of its own, as the API server gives them. */

export interface Volume {
  name: string
  hostPath?: { path?: string }
}

interface NamedRef {
  name?: string
}

export interface SpecContainer {
  name: string
  image?: string
  command?: string[]
  args?: string[]
  stdin?: boolean
  tty?: boolean
  targetContainerName?: string
  securityContext?: {
    privileged?: boolean
    runAsUser?: number
    capabilities?: { add?: string[] }
    windowsOptions?: { hostProcess?: boolean }
  }
  env?: { name: string; valueFrom?: { secretKeyRef?: NamedRef } }[]
  envFrom?: { secretRef?: NamedRef }[]
  volumeMounts?: { name: string; mountPath: string }[]
  volumeDevices?: { name: string; devicePath: string }[]
}

export interface PodSpec {
  nodeName?: string
  containers: SpecContainer[]
  initContainers?: SpecContainer[]
  ephemeralContainers?: SpecContainer[]
  volumes?: Volume[]
  hostPID?: boolean
  hostIPC?: boolean
  hostNetwork?: boolean
  shareProcessNamespace?: boolean
  serviceAccountName?: string
  securityContext?: { windowsOptions?: { hostProcess?: boolean } }
}

export interface SpecPod {
  metadata: {
    name: string
    generateName?: string
    namespace: string
    uid: string
    resourceVersion?: string
    labels?: Record<string, string>
  }
  spec: PodSpec
}

/** What is built from the Go modules under test/cluster, and with which flags. */

export interface GoModule {
  /** Folder under test/cluster. */
  name: string
  /** How it is called while it is built. */
  title: string
  packages: string[]
  binaries: string[]
  ldflags: string
  /** Where it asks for a newer Go than Debian's 1.24, which all else is content with. */
  mayFetchToolchain?: boolean
  /** A first build on two cores, until this machine has its own figure. */
  typicalSeconds: number
}

const KUBERNETES_VERSION = 'v1.34.4'
const NEWER_VERSION = 'v1.36.3'
const KUBERNETES_PROGRAMS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kubectl',
]
const VERSION_PACKAGE = 'k8s.io/component-base/version'

/** Without these the API server says it is v0.0.0 and clients switch features off. */
function kubernetesFlags(version: string): string {
  const [major = '', minor = ''] = version.slice(1).split('.')
  return [
    '-s -w',
    `-X ${VERSION_PACKAGE}.gitVersion=${version}`,
    `-X ${VERSION_PACKAGE}.gitMajor=${major}`,
    `-X ${VERSION_PACKAGE}.gitMinor=${minor}`,
  ].join(' ')
}

export const KUBERNETES: GoModule = {
  name: 'kubernetes',
  title: `Kubernetes ${KUBERNETES_VERSION}`,
  packages: KUBERNETES_PROGRAMS.map((program) => `k8s.io/kubernetes/cmd/${program}`),
  binaries: KUBERNETES_PROGRAMS,
  ldflags: kubernetesFlags(KUBERNETES_VERSION),
  typicalSeconds: 480,
}

/** An API server that knows constrained impersonation (KEP-5284). */
export const NEWER_API_SERVER: GoModule = {
  name: 'kubernetes136',
  title: `the API server of Kubernetes ${NEWER_VERSION}`,
  packages: ['k8s.io/kubernetes/cmd/kube-apiserver'],
  binaries: ['kube-apiserver'],
  ldflags: kubernetesFlags(NEWER_VERSION),
  mayFetchToolchain: true,
  typicalSeconds: 200,
}

export const FERRETDB: GoModule = {
  name: 'ferretdb',
  title: 'FerretDB',
  packages: ['.'],
  binaries: ['ferretdb'],
  ldflags: '-s -w',
  typicalSeconds: 45,
}

export const PAUSE: GoModule = {
  name: 'pause',
  title: 'the pause program',
  packages: ['.'],
  binaries: ['pause'],
  ldflags: '-s -w',
  typicalSeconds: 5,
}

/** How the API server reads a path: the oracle of `npm run fuzz`. */
export const REQUEST_INFO: GoModule = {
  name: 'requestinfo',
  title: 'the RequestInfo oracle',
  packages: ['.'],
  binaries: ['requestinfo'],
  ldflags: '-s -w',
  typicalSeconds: 30,
}

/** The library of kubectl and the kubelet, at the other end of the gateway's SPDY legs. */
export const SPDYSTREAM: GoModule = {
  name: 'spdystream',
  title: 'the peer for the SPDY tests',
  packages: ['.'],
  binaries: ['spdystream'],
  ldflags: '-s -w',
  typicalSeconds: 5,
}

/** An OpenID Connect provider by another library than the sandbox's own. */
export const SECOND_PROVIDER: GoModule = {
  name: 'secondprovider',
  title: 'the second identity provider',
  packages: ['.'],
  binaries: ['secondprovider'],
  ldflags: '-s -w',
  typicalSeconds: 30,
}

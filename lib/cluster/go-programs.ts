/** What is built from the Go modules under test/cluster, and with which flags. */

export interface GoModule {
  /** Folder under test/cluster. */
  name: string
  /** How it is called while it is built. */
  title: string
  packages: string[]
  binaries: string[]
  ldflags: string
  /** A first build on two cores, until this machine has its own figure. */
  typicalSeconds: number
}

const KUBERNETES_VERSION = 'v1.34.4'
const KUBERNETES_PROGRAMS = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kubectl',
]
const VERSION_PACKAGE = 'k8s.io/component-base/version'

export const KUBERNETES: GoModule = {
  name: 'kubernetes',
  title: `Kubernetes ${KUBERNETES_VERSION}`,
  packages: KUBERNETES_PROGRAMS.map((program) => `k8s.io/kubernetes/cmd/${program}`),
  binaries: KUBERNETES_PROGRAMS,
  // Without these the API server says it is v0.0.0 and clients switch features off.
  ldflags: [
    '-s -w',
    `-X ${VERSION_PACKAGE}.gitVersion=${KUBERNETES_VERSION}`,
    `-X ${VERSION_PACKAGE}.gitMajor=1`,
    `-X ${VERSION_PACKAGE}.gitMinor=34`,
  ].join(' '),
  typicalSeconds: 480,
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

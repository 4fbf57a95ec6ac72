/** The configuration files of containerd, CNI and the kubelet. Pure: values in, text out. */
import { stringify } from 'yaml'

import type { NodeNetwork } from './instance.ts'
import type { PkiFiles } from './cluster-pki.ts'
import { PAUSE_IMAGE } from './images.ts'

export interface NodePaths {
  containerdRoot: string
  containerdState: string
  /** At most 107 bytes (unix(7), sun_path), so not below the state folder. */
  socket: string
  runcRoot: string
  cniConf: string
  cniData: string
  kubeletRoot: string
  podLogs: string
}

export type Snapshotter = 'overlayfs' | 'native'

/** containerd 1.6, configuration version 2. */
export function renderContainerdConfig(paths: NodePaths, snapshotter: Snapshotter): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `version = 2
root = ${quote(paths.containerdRoot)}
state = ${quote(paths.containerdState)}
oom_score = 0
# It would make /opt/containerd, outside of our folders.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = ${quote(paths.socket)}

[${cri}]
  sandbox_image = ${quote(PAUSE_IMAGE)}
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  # Without CAP_SYS_RESOURCE runc may not lower a score and dies; this keeps to what is allowed.
  restrict_oom_score_adj = true
  # So that the network namespaces of this instance are told from all others.
  netns_mounts_under_state_dir = true

[${cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = ${quote(paths.cniConf)}

[${cri}.containerd]
  snapshotter = ${quote(snapshotter)}
  default_runtime_name = "runc"

[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${cri}.containerd.runtimes.runc.options]
  Root = ${quote(paths.runcRoot)}
  SystemdCgroup = false
`
}

/** A TOML basic string escapes as JSON does. */
function quote(text: string): string {
  return JSON.stringify(text)
}

/** No masquerading and no host ports: so no iptables rule is ever made. */
export function renderCniConfig(paths: NodePaths, network: NodeNetwork): string {
  return JSON.stringify(
    {
      cniVersion: '1.0.0',
      name: network.bridge,
      plugins: [
        {
          type: 'bridge',
          bridge: network.bridge,
          isGateway: true,
          hairpinMode: true,
          ipam: {
            type: 'host-local',
            dataDir: paths.cniData,
            ranges: [[{ subnet: network.subnet }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
        },
      ],
    },
    null,
    2,
  )
}

export interface KubeletConfigOptions {
  paths: NodePaths
  network: NodeNetwork
  files: PkiFiles
  port: number
  healthPort: number
}

export function renderKubeletConfig(options: KubeletConfigOptions): string {
  const { paths, network, files } = options
  return stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: '127.0.0.1',
    port: options.port,
    readOnlyPort: 0,
    healthzBindAddress: '127.0.0.1',
    healthzPort: options.healthPort,
    tlsCertFile: files.kubeletServer.certificate,
    tlsPrivateKeyFile: files.kubeletServer.privateKey,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: files.authority.certificate },
    },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${paths.socket}`,
    cgroupDriver: 'cgroupfs',
    // Two kubelets under one root would each remove the other's pods as orphans.
    cgroupRoot: network.cgroup,
    failSwapOn: false,
    oomScoreAdj: 0,
    // This machine has another owner: nothing is evicted or deleted for want of space.
    evictionHard: {
      'memory.available': '0%',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
      'imagefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    clusterDomain: 'cluster.local',
    clusterDNS: [network.gateway],
    maxPods: 250,
    podLogsDir: paths.podLogs,
    volumePluginDir: `${paths.kubeletRoot}/volume-plugins`,
  })
}

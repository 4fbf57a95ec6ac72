import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import { buildKey } from '../../../lib/cluster/build.ts'
import { localHindrance, noClusterMessage } from '../../../lib/cluster/cluster.ts'
import {
  missingPackages,
  missingPackagesMessage,
  NODE_PACKAGES,
} from '../../../lib/cluster/debian-packages.ts'
import { FERRETDB, KUBERNETES } from '../../../lib/cluster/go-programs.ts'
import { nodeNetworkOf } from '../../../lib/cluster/instance.ts'
import { kindClusterName } from '../../../lib/cluster/kind-cluster.ts'
import { isNodeReady, nodePathsOf } from '../../../lib/cluster/node.ts'
import {
  renderCniConfig,
  renderContainerdConfig,
  renderKubeletConfig,
} from '../../../lib/cluster/node-config.ts'
import { mountsBelow, shimSocket } from '../../../lib/cluster/node-remains.ts'
import { cacheFolder } from '../../../lib/cluster/places.ts'

const paths = nodePathsOf('/state', '/run/podgate/3', '/var/lib/podgate/3')
const network = nodeNetworkOf(3)

describe('configuration of the node', () => {
  it('keeps containerd within folders of its own', () => {
    const config = renderContainerdConfig(paths, 'overlayfs')
    expect(config).toContain('root = "/state/containerd/root"')
    expect(config).toContain('state = "/state/containerd/state"')
    expect(config).toContain('address = "/run/podgate/3/containerd.sock"')
    expect(config).toContain('Root = "/state/runc"')
    expect(config).toContain('netns_mounts_under_state_dir = true')
    expect(config).toContain('restrict_oom_score_adj = true')
    expect(config.replaceAll(/^ *#.*$/gm, '')).not.toMatch(/\/(var|opt)\//)
  })

  it('escapes paths', () => {
    const odd = nodePathsOf('/a "b"', '/run', '/var')
    expect(renderContainerdConfig(odd, 'native')).toContain('root = "/a \\"b\\"/containerd/root"')
  })

  it('gives pods addresses on a bridge of their own, and no rule of iptables', () => {
    const [bridge, ...more] = JSON.parse(renderCniConfig(paths, network)).plugins
    expect(bridge).toMatchObject({ type: 'bridge', bridge: 'podgate3', isGateway: true })
    expect(bridge.ipam.ranges).toEqual([[{ subnet: '10.231.3.0/24' }]])
    expect(bridge.ipMasq).toBeUndefined()
    expect(more).toEqual([])
  })

  it('lets the kubelet listen on loopback, ask the API server who may, and evict nobody', () => {
    const pair = { certificate: '/pki/x.crt', privateKey: '/pki/x.key' }
    const files = {
      authority: { certificate: '/pki/ca.crt' },
      etcdAuthority: { certificate: '/pki/etcd-ca.crt' },
      etcd: pair,
      apiServer: pair,
      apiServerClient: pair,
      kubeletServer: pair,
      serviceAccountPrivateKey: '/pki/sa.key',
      serviceAccountPublicKey: '/pki/sa.pub',
    }
    const config = parse(renderKubeletConfig({ paths, network, files, port: 1, healthPort: 2 }))
    expect(config).toMatchObject({
      address: '127.0.0.1',
      healthzBindAddress: '127.0.0.1',
      readOnlyPort: 0,
      authentication: { anonymous: { enabled: false }, webhook: { enabled: true } },
      authorization: { mode: 'Webhook' },
      cgroupRoot: '/podgate3',
      makeIPTablesUtilChains: false,
      podLogsDir: '/state/pod-logs',
    })
    expect(Object.values(config.evictionHard)).toEqual(Array.from({ length: 5 }, () => '0%'))
  })
})

describe('isNodeReady', () => {
  const ready = [
    { type: 'MemoryPressure', status: 'False' },
    { type: 'Ready', status: 'True' },
  ]
  it.each([
    { name: 'is not there yet', node: undefined, want: false },
    { name: 'has no status yet', node: { metadata: {} }, want: false },
    {
      name: 'is not Ready',
      node: { status: { conditions: [{ type: 'Ready', status: 'False' }] } },
      want: false,
    },
    {
      name: 'is Ready but still tainted',
      node: { spec: { taints: [{}] }, status: { conditions: ready } },
      want: false,
    },
    { name: 'is Ready', node: { spec: {}, status: { conditions: ready } }, want: true },
  ])('is $want when the node $name', ({ node, want }) => {
    expect(isNodeReady(node)).toBe(want)
  })
})

describe('what a node leaves', () => {
  it('finds its mounts, the innermost first, and no others', () => {
    const mountinfo = [
      '22 1 0:20 / / rw - ext4 /dev/vda rw',
      '30 22 0:30 / /state/run rw shared:1 - tmpfs tmpfs rw',
      '31 30 0:31 / /state/run/with\\040blank rw - tmpfs tmpfs rw',
      '33 22 0:33 / /state rw - ext4 /dev/vda rw',
      '32 22 0:32 / /statement rw - tmpfs tmpfs rw',
      '',
    ].join('\n')
    expect(mountsBelow('/state', mountinfo)).toEqual([
      '/state',
      '/state/run/with blank',
      '/state/run',
    ])
  })

  it('knows the socket of a shim from its command line', () => {
    const args = [
      '/usr/bin/containerd-shim-runc-v2',
      '-namespace',
      'k8s.io',
      '-id',
      'abc',
      '-address',
      '/run/c.sock',
    ]
    // printf %s /run/c.sock/k8s.io/abc | sha256sum
    expect(shimSocket('/run/c.sock', args)).toBe(
      '/run/containerd/s/8103d8459a569d1c20ba69c3f2a785a090706169fb3fb8744b6af34907110d6b',
    )
  })
})

describe('Debian packages', () => {
  it('names those whose program is missing', () => {
    const there = new Set(['/usr/bin/containerd', '/usr/sbin/runc', '/bin/busybox', '/sbin/ip'])
    expect(missingPackages(NODE_PACKAGES, (file) => there.has(file))).toEqual([
      'containernetworking-plugins',
      'iptables',
      'conntrack',
    ])
  })

  it.each([
    {
      missing: ['runc'],
      text: 'needs this Debian package: runc. Install with "sudo apt-get install --no-install-recommends runc"',
    },
    {
      missing: ['runc', 'iptables'],
      text: 'needs these Debian packages: runc, iptables. Install with "sudo apt-get install --no-install-recommends runc iptables"',
    },
  ])('says how to install $missing', ({ missing, text }) => {
    expect(missingPackagesMessage(missing)).toContain(text)
  })
})

describe('which cluster', () => {
  it.each([
    { platform: 'linux', uid: 0, want: undefined },
    { platform: 'linux', uid: 1000, want: 'you are not root' },
    { platform: 'darwin', uid: 0, want: 'this machine runs darwin, not Linux' },
  ] as const)('a local one on $platform as $uid: $want', ({ platform, uid, want }) => {
    expect(localHindrance(platform, uid)).toBe(want)
  })

  it('names the three ways, and what stands in the way of each, when there is none', () => {
    const message = noClusterMessage({
      noKind: 'kind is not installed',
      noLocal: 'you are not root',
    })
    expect(message.split('\n')).toHaveLength(4)
    for (const part of ['--context NAME', 'kind is not installed', 'you are not root']) {
      expect(message).toContain(part)
    }
  })

  it('kind clusters of two folders have two names, the same folder always the same', () => {
    expect(kindClusterName('/a')).not.toBe(kindClusterName('/b'))
    expect(kindClusterName('/a/../a')).toBe(kindClusterName('/a'))
    expect(kindClusterName('/a')).toMatch(/^podgate-[0-9a-f]{8}$/)
  })
})

describe('cacheFolder', () => {
  it.each([
    { env: { XDG_CACHE_HOME: '/cache' }, want: /^\/cache\/podgate$/ },
    { env: { XDG_CACHE_HOME: 'relative' }, want: /\/\.cache\/podgate$/ },
    { env: {}, want: /\/\.cache\/podgate$/ },
  ])('is below $env', ({ env, want }) => {
    expect(cacheFolder(env)).toMatch(want)
  })
})

describe('buildKey', () => {
  let source: string
  beforeEach(() => {
    source = mkdtempSync(join(tmpdir(), 'podgate-key-'))
    writeFileSync(join(source, 'go.mod'), 'module x')
    writeFileSync(join(source, 'main.go'), 'package main')
  })
  afterEach(() => {
    rmSync(source, { recursive: true, force: true })
  })

  it('changes with every source, with go.mod and with the flags, and with nothing else', () => {
    const key = buildKey(FERRETDB, source)
    writeFileSync(join(source, 'README.md'), 'words')
    expect(buildKey(FERRETDB, source)).toBe(key)
    expect(buildKey({ ...FERRETDB, ldflags: '' }, source)).not.toBe(key)
    expect(buildKey(KUBERNETES, source)).not.toBe(key)
    writeFileSync(join(source, 'main.go'), 'package main // changed')
    const changed = buildKey(FERRETDB, source)
    expect(changed).not.toBe(key)
    writeFileSync(join(source, 'go.sum'), '')
    expect(buildKey(FERRETDB, source)).not.toBe(changed)
  })
})

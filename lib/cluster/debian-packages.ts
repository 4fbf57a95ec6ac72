/**
 * Programs that come from Debian. As root, what is missing is installed; else
 * the message says what to install. No service is started by that.
 */
import { spawn } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { userInfo } from 'node:os'

import { GatewayError } from '../errors/gateway-error.ts'
import { createWhole } from './lock.ts'
import { searchPath } from './processes.ts'
import type { Progress } from './progress.ts'

export interface DebianPackage {
  name: string
  /** Where it is there, the package is, however it came. */
  file: string
}

export const ETCD_PACKAGE: DebianPackage = { name: 'etcd-server', file: '/usr/bin/etcd' }

/** For the tests of signing in: a browser, and what tells it whom to trust. */
export const BROWSER_PACKAGES: readonly DebianPackage[] = [
  { name: 'chromium', file: '/usr/lib/chromium/chromium' },
  { name: 'libnss3-tools', file: '/usr/bin/certutil' },
]

export const NODE_PACKAGES: readonly DebianPackage[] = [
  { name: 'containerd', file: '/usr/bin/containerd' },
  { name: 'runc', file: '/usr/sbin/runc' },
  { name: 'containernetworking-plugins', file: '/usr/lib/cni/bridge' },
  { name: 'iptables', file: '/usr/sbin/iptables' },
  { name: 'conntrack', file: '/usr/sbin/conntrack' },
  { name: 'busybox-static', file: '/bin/busybox' },
  { name: 'iproute2', file: '/sbin/ip' },
]

/** invoke-rc.d asks it before it starts anything; 101 means "forbidden" (Debian policy 9.3.3). */
const POLICY_FILE = '/usr/sbin/policy-rc.d'
const POLICY = '#!/bin/sh\nexit 101\n'

export function missingPackages(
  wanted: readonly DebianPackage[],
  exists: (file: string) => boolean = existsSync,
): string[] {
  return wanted.filter(({ file }) => !exists(file)).map(({ name }) => name)
}

export function missingPackagesMessage(
  missing: readonly string[],
  whose = 'The local cluster',
): string {
  const them = missing.length === 1 ? 'this Debian package' : 'these Debian packages'
  return (
    `${whose} needs ${them}: ${missing.join(', ')}. Install with ` +
    `"sudo apt-get install --no-install-recommends ${missing.join(' ')}", then start again`
  )
}

export async function ensurePackages(
  wanted: readonly DebianPackage[],
  progress: Progress,
): Promise<void> {
  const missing = missingPackages(wanted)
  if (missing.length === 0) return
  if (userInfo().uid !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new GatewayError('ServiceUnavailable', missingPackagesMessage(missing))
  }
  progress.update({ what: `Installing Debian packages (first run only): ${missing.join(', ')}` })
  await withoutServices(async () => {
    const first = await aptGet(['install', ...missing])
    if (first.code === 0) return
    // Most likely the lists are empty or old, as in a fresh container.
    await aptGet(['update'])
    const second = await aptGet(['install', ...missing])
    if (second.code !== 0) {
      throw new GatewayError(
        'InternalError',
        `apt-get could not install ${missing.join(', ')}:\n${second.output}`,
      )
    }
  })
  progress.done(`Installed Debian packages: ${missing.join(', ')}`)
}

async function withoutServices(work: () => Promise<void>): Promise<void> {
  const ours = existsSync(POLICY_FILE) ? false : createWhole(POLICY_FILE, POLICY, 0o755)
  try {
    await work()
  } finally {
    if (ours) rmSync(POLICY_FILE, { force: true })
  }
}

async function aptGet(args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn('apt-get', ['-q', '-y', '--no-install-recommends', ...args], {
    env: { ...process.env, PATH: searchPath(), DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, output: Buffer.concat(chunks).toString('utf8').split('\n').slice(-15).join('\n') }
}

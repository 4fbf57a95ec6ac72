import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request } from 'node:https'
import { networkInterfaces, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'

import { listInstances, nodeNetworkOf } from '../../lib/cluster/instance.ts'
import { CLIENT_ID, issuerOf } from '../../lib/cli/sign-in/gateway-oauth.ts'
import { readTokens, writeTokens } from '../../lib/cli/token-cache.ts'
import type { SandboxJson } from '../../lib/sandbox/sandbox-json.ts'

/** From an empty cache the Kubernetes programs are built shared. */
const COLD_START_MS = 20 * 60_000
const STOP_MS = 60_000
const MAIN = join(import.meta.dirname, '../../cmd/podgate/main.ts')

jest.setTimeout(60_000)

let base: string
let shared: Started
const children: ChildProcess[] = []

interface Started {
  child: ChildProcess
  root: string
  json: SandboxJson
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'podgate-e2e-'))
  shared = await start()
}, COLD_START_MS)

afterAll(async () => {
  for (const child of children.toReversed()) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended(child)
  }
  await rm(base, { recursive: true, force: true })
}, STOP_MS)

function flagsOf(name: string | undefined): string[] {
  const dir = join(base, 'with blank')
  return name === undefined ? ['--dir', dir] : ['--dir', dir, '--name', name]
}

async function start(name?: string): Promise<Started> {
  const root = join(base, 'with blank', name ?? '')
  const child = spawn(process.execPath, [MAIN, 'sandbox', ...flagsOf(name)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: base,
  })
  children.push(child)
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  }
  const output = (): string => chunks.join('')
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the sandbox ended: ${output()}`)
    return output().includes('End with Ctrl-C')
  }, COLD_START_MS)
  const json = JSON.parse(readFileSync(join(root, 'sandbox.json'), 'utf8')) as SandboxJson
  return { child, root, json }
}

async function until(probe: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!probe()) {
    if (Date.now() > deadline) throw new Error('waited in vain')
    await delay(50)
  }
}

async function ended(child: ChildProcess): Promise<number | null> {
  await until(() => child.exitCode !== null || child.signalCode !== null, STOP_MS)
  return child.exitCode
}

interface Run {
  code: number
  stdout: string
  stderr: string
}

/** As a person in a fresh terminal: another folder, nothing of ours in PATH. */
function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Run> {
  const environment = { PATH: '/usr/bin:/bin', HOME: base, ...env }
  return new Promise((resolve) => {
    execFile(command, args, { cwd: '/', env: environment }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

function kubectl(sandbox: Started, kubeconfig: string, args: string[]): Promise<Run> {
  return run(sandbox.json.kubectl, ['--kubeconfig', kubeconfig, ...args])
}

/** Every process that was started for the sandbox names its folder in its arguments. */
function processesOf(root: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/u.test(pid))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      } catch {
        return ''
      }
    })
    .filter((line) => line.includes(`${root}/`))
}

const PEOPLE = [
  ['ana', ['dev']],
  ['bo', ['oncall']],
  ['cy', ['oncall']],
  ['dpo', ['privacy']],
] as const

describe('a sandbox', () => {
  it.each(PEOPLE)('knows %s, through the gateway, from any folder', async (name, groups) => {
    const kubeconfig = shared.json.users[name].kubeconfig
    const { code, stdout, stderr } = await kubectl(shared, kubeconfig, [
      'auth',
      'whoami',
      '-o=jsonpath={.status.userInfo.username} {.status.userInfo.groups}',
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(`${name} ${JSON.stringify([...groups, 'system:authenticated'])}`)
    const server = ['config', 'view', '-o=jsonpath={.clusters[0].cluster.server}']
    expect((await kubectl(shared, kubeconfig, server)).stdout).toBe(shared.json.gateway.url)
  })

  it('describes itself by absolute paths and addresses of this machine alone', async () => {
    const { json, root } = shared
    const paths = [
      json.gateway.caFile,
      json.admin.kubeconfig,
      json.kubectl,
      ...Object.values(json.users).map(({ kubeconfig }) => kubeconfig),
      ...(json.containerdSocket === undefined ? [] : [json.containerdSocket]),
    ]
    for (const path of paths) {
      expect(isAbsolute(path)).toBe(true)
      expect(existsSync(path)).toBe(true)
    }
    for (const url of [json.gateway.url, json.oidc.issuer, json.console, json.metrics]) {
      expect(new URL(url).hostname).toBe('127.0.0.1')
    }
    expect((await stat(join(root, 'passwords.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(json.users.ana.kubeconfig)).mode & 0o777).toBe(0o600)
    const metrics = await fetch(json.metrics)
    expect(metrics.status).toBe(200)
    expect(await metrics.text()).toContain('podgate_build_info')
  })

  it('lets nobody in without a token', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const ca = readFileSync(shared.json.gateway.caFile)
      const sent = request(`${shared.json.gateway.url}/api/v1/namespaces`, { ca }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      sent.on('error', reject)
      sent.end()
    })
    expect(status).toBe(401)
  })

  it('renews an ended sign-in by itself, in the middle of a command', async () => {
    const file = join(shared.root, 'tokens', 'ana.json')
    const before = await readTokens(file, issuerOf(shared.json.gateway.url), CLIENT_ID)
    if (before === undefined) throw new Error('ana is not signed in')
    await writeTokens(file, { ...before, expiresAt: Date.now() - 1 })
    const { code, stderr } = await kubectl(shared, shared.json.users.ana.kubeconfig, [
      'get',
      'pods',
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const after = await readTokens(file, issuerOf(shared.json.gateway.url), CLIENT_ID)
    expect(after?.refreshToken).not.toBe(before.refreshToken)
  })

  it('has the demo pods running', async () => {
    const output = ['get', 'pods', '--no-headers', '-o=custom-columns=:metadata.name,:status.phase']
    const { stdout } = await kubectl(shared, shared.json.users.ana.kubeconfig, output)
    expect(stdout.trim().split(/\s+/u)).toEqual(
      ['ledger-0', 'multi-0', 'tools-0', 'web-0'].flatMap((name) => [name, 'Running']),
    )
  })

  it('masks what a free shell shows', async () => {
    const exec = ['exec', 'tools-0', '--', 'cat', '/data/customers.csv']
    const { code, stdout } = await kubectl(shared, shared.json.users.ana.kubeconfig, exec)
    expect(code).toBe(0)
    expect(stdout).toContain('Alice Example')
    for (const secret of ['alice@example.com', '4111 1111', 'DE89', '192.0.2.17', 'CUST-100001']) {
      expect(stdout).not.toContain(secret)
    }
  })

  it.each([
    ['ledger-0', /PODGATE-1002/u],
    ['web-0', /PODGATE-1004/u],
  ])('keeps ana out of %s', async (pod, message) => {
    const exec = ['exec', pod, '--', 'id']
    const { code, stdout, stderr } = await kubectl(shared, shared.json.users.ana.kubeconfig, exec)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('closes the way round the gateway, for its admin too', async () => {
    const exec = ['-n', 'shop', 'exec', 'tools-0', '--', 'id']
    const { code, stderr } = await kubectl(shared, shared.json.admin.kubeconfig, exec)
    expect(code).toBe(1)
    expect(stderr).toMatch(/direct access .* is closed/u)
  })

  it('offers a PATH with kubectl and its plugins', async () => {
    const env = {
      PATH: `${join(shared.root, 'bin')}:/usr/bin:/bin`,
      KUBECONFIG: shared.json.users.bo.kubeconfig,
    }
    const kubectlOfPath = join(shared.root, 'bin', 'kubectl')
    expect((await run(kubectlOfPath, ['approve', '--help'], env)).stdout).toMatch(
      /kubectl approve/u,
    )
    expect((await run(kubectlOfPath, ['podgate', '--help'], env)).stdout).toMatch(
      /kubectl podgate/u,
    )
  })

  it('refuses a second one in the same folder', async () => {
    const { code, stderr } = await run(process.execPath, [MAIN, 'sandbox', ...flagsOf(undefined)])
    expect(code).toBe(1)
    expect(stderr).toMatch(/runs in .* already .* --name NAME/u)
  })
})

describe('a second sandbox', () => {
  it(
    'works beside the first, takes none of its people, and leaves nothing when it is stopped',
    async () => {
      const second = await start('second')
      const { root, child } = second
      for (const sandbox of [shared, second]) {
        const get = ['get', 'pods', '-o=name']
        const { stdout } = await kubectl(sandbox, sandbox.json.users.ana.kubeconfig, get)
        expect(stdout.trim().split('\n')).toHaveLength(4)
      }
      await expectStranger(second)
      const bridges = recordsOf(root).map(({ index }) => nodeNetworkOf(index).bridge)
      expect(processesOf(root).length).toBeGreaterThan(3)
      const { code, stdout } = await stop('second')
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'The sandbox has ended.\n' })
      expect(await ended(child)).toBe(0)
      expect(processesOf(root)).toEqual([])
      expect(recordsOf(root)).toEqual([])
      expect(existsSync(root)).toBe(false)
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(`${root}/`)
      expect(Object.keys(networkInterfaces()).filter((name) => bridges.includes(name))).toEqual([])
      const { stderr } = await kubectl(shared, shared.json.users.bo.kubeconfig, ['get', 'pods'])
      expect(stderr).toBe('')
    },
    COLD_START_MS,
  )

  it(
    'that crashes leaves nothing running, and can be started again',
    async () => {
      const { child, root } = await start('crash')
      child.kill('SIGKILL')
      await ended(child)
      await until(() => processesOf(root).length === 0, STOP_MS)
      await until(() => recordsOf(root).length === 0, STOP_MS)
      expect((await stop('crash')).stdout).toMatch(/No sandbox runs/u)
      await start('crash')
      expect((await stop('crash')).stdout).toBe('The sandbox has ended.\n')
      expect(existsSync(root)).toBe(false)
    },
    COLD_START_MS,
  )
})

function stop(name: string): Promise<Run> {
  return run(process.execPath, [MAIN, 'sandbox', '--stop', ...flagsOf(name)])
}

/** ana of the other sandbox has a good token, of a gateway that is not this one. */
async function expectStranger(other: Started): Promise<void> {
  const file = join(other.root, 'tokens', 'ana.json')
  const tokens = await readTokens(file, issuerOf(other.json.gateway.url), CLIENT_ID)
  const { code, stderr } = await kubectl(shared, '/dev/null', [
    `--server=${shared.json.gateway.url}`,
    `--certificate-authority=${shared.json.gateway.caFile}`,
    `--token=${tokens?.token ?? ''}`,
    'get',
    '--raw',
    '/api/v1/namespaces/shop/pods',
  ])
  expect(code).toBe(1)
  expect(stderr).toMatch(/You must be logged in to the server \(.*PODGATE-1451/u)
}

function recordsOf(root: string): { index: number }[] {
  return listInstances().filter(({ stateDir }) => stateDir.startsWith(`${root}/`))
}

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request } from 'node:https'
import { networkInterfaces, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'

import { listInstances, nodeNetworkOf } from '../../lib/cluster/instance.ts'
import { readTokens, writeTokens } from '../../lib/cli/token-cache.ts'
import type { SandboxJson } from '../../lib/sandbox/sandbox-json.ts'

/** From an empty cache the Kubernetes programs are built first. */
const COLD_START_MS = 20 * 60_000
const STOP_MS = 60_000
const MAIN = join(import.meta.dirname, '../../cmd/podgate/main.ts')

jest.setTimeout(60_000)

let base: string
let first: Started
let second: Started

interface Started {
  child: ChildProcess
  root: string
  output: () => string
  json: SandboxJson
}

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'podgate-e2e-'))
  first = await start([])
  second = await start(['--name', 'second'], 'second')
}, 2 * COLD_START_MS)

afterAll(async () => {
  for (const { child } of [second, first]) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended(child)
  }
  await rm(base, { recursive: true, force: true })
}, STOP_MS)

async function start(args: string[], name?: string): Promise<Started> {
  const dir = join(base, 'with blank')
  const root = name === undefined ? dir : join(dir, name)
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--dir', dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: base,
  })
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
  return { child, root, output, json }
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
    for (const sandbox of [first, second]) {
      const kubeconfig = sandbox.json.users[name].kubeconfig
      const { code, stdout, stderr } = await kubectl(sandbox, kubeconfig, [
        'auth',
        'whoami',
        '-o=jsonpath={.status.userInfo.username} {.status.userInfo.groups}',
      ])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toBe(`${name} ${JSON.stringify([...groups, 'system:authenticated'])}`)
      const server = ['config', 'view', '-o=jsonpath={.clusters[0].cluster.server}']
      expect((await kubectl(sandbox, kubeconfig, server)).stdout).toBe(sandbox.json.gateway.url)
    }
  })

  it('describes itself by absolute paths and addresses of this machine alone', async () => {
    const { json, root } = first
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
      const ca = readFileSync(first.json.gateway.caFile)
      const sent = request(`${first.json.gateway.url}/api/v1/namespaces`, { ca }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
      sent.on('error', reject)
      sent.end()
    })
    expect(status).toBe(401)
  })

  it("does not take the other sandbox's people", async () => {
    const file = join(second.root, 'tokens', 'ana.json')
    const tokens = await readTokens(file, second.json.oidc.issuer, 'podgate')
    const { code, stderr } = await kubectl(first, '/dev/null', [
      `--server=${first.json.gateway.url}`,
      `--certificate-authority=${first.json.gateway.caFile}`,
      `--token=${tokens?.idToken ?? ''}`,
      'get',
      '--raw',
      '/api/v1/namespaces/shop/pods',
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(/You must be logged in to the server \(.*PODGATE-1403/u)
  })

  it('renews an ended sign-in by itself, in the middle of a command', async () => {
    const file = join(first.root, 'tokens', 'ana.json')
    const before = await readTokens(file, first.json.oidc.issuer, 'podgate')
    if (before === undefined) throw new Error('ana is not signed in')
    await writeTokens(file, { ...before, expiresAt: Date.now() - 1 })
    const { code, stderr } = await kubectl(first, first.json.users.ana.kubeconfig, ['get', 'pods'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const after = await readTokens(file, first.json.oidc.issuer, 'podgate')
    expect(after?.refreshToken).not.toBe(before.refreshToken)
  })

  it('has the demo pods running', async () => {
    const output = ['get', 'pods', '--no-headers', '-o=custom-columns=:metadata.name,:status.phase']
    const { stdout } = await kubectl(first, first.json.users.ana.kubeconfig, output)
    expect(stdout.trim().split(/\s+/u)).toEqual(
      ['ledger-0', 'multi-0', 'tools-0', 'web-0'].flatMap((name) => [name, 'Running']),
    )
  })

  it('masks what a free shell shows', async () => {
    const exec = ['exec', 'tools-0', '--', 'cat', '/data/customers.csv']
    const { code, stdout } = await kubectl(first, first.json.users.ana.kubeconfig, exec)
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
    const { code, stdout, stderr } = await kubectl(first, first.json.users.ana.kubeconfig, exec)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('closes the way round the gateway, for its admin too', async () => {
    const exec = ['-n', 'shop', 'exec', 'tools-0', '--', 'id']
    const { code, stderr } = await kubectl(first, first.json.admin.kubeconfig, exec)
    expect(code).toBe(1)
    expect(stderr).toMatch(/direct access .* is closed/u)
  })

  it('offers a PATH with kubectl and its plugins', async () => {
    const env = {
      PATH: `${join(first.root, 'bin')}:/usr/bin:/bin`,
      KUBECONFIG: first.json.users.bo.kubeconfig,
    }
    const kubectlOfPath = join(first.root, 'bin', 'kubectl')
    expect((await run(kubectlOfPath, ['approve', '--help'], env)).stdout).toMatch(
      /kubectl approve/u,
    )
    expect((await run(kubectlOfPath, ['podgate', '--help'], env)).stdout).toMatch(
      /kubectl podgate/u,
    )
  })

  it('refuses a second one in the same folder', async () => {
    const dir = join(base, 'with blank')
    const { code, stderr } = await run(process.execPath, [MAIN, 'sandbox', '--dir', dir])
    expect(code).toBe(1)
    expect(stderr).toMatch(/runs in .* already .* --name NAME/u)
  })
})

describe('the end of a sandbox', () => {
  it(
    'after a crash leaves nothing running',
    async () => {
      const { child, root } = second
      expect(processesOf(root).length).toBeGreaterThan(3)
      child.kill('SIGKILL')
      await ended(child)
      await until(() => processesOf(root).length === 0, STOP_MS)
      await until(() => recordsOf(root).length === 0, STOP_MS)
      const args = [
        MAIN,
        'sandbox',
        '--stop',
        '--dir',
        join(base, 'with blank'),
        '--name',
        'second',
      ]
      expect((await run(process.execPath, args)).stdout).toMatch(/No sandbox runs/u)
    },
    2 * STOP_MS,
  )

  it(
    'by --stop leaves nothing at all',
    async () => {
      const { child, root } = first
      await rm(join(root, 'second'), { recursive: true, force: true })
      const bridges = recordsOf(root).map(({ index }) => nodeNetworkOf(index).bridge)
      const args = [MAIN, 'sandbox', '--stop', '--dir', root]
      const { code, stdout } = await run(process.execPath, args)
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'The sandbox has ended.\n' })
      expect(await ended(child)).toBe(0)
      expect(processesOf(root)).toEqual([])
      expect(recordsOf(root)).toEqual([])
      expect(existsSync(root)).toBe(false)
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(base)
      expect(Object.keys(networkInterfaces()).filter((name) => bridges.includes(name))).toEqual([])
    },
    2 * STOP_MS,
  )
})

function recordsOf(root: string): { index: number }[] {
  return listInstances().filter(({ stateDir }) => stateDir.startsWith(`${root}/`))
}

/** Runs our programs as a person's shell would: own process, own home, own kubeconfig. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { jest } from '@jest/globals'

const ROOT = new URL('../../../', import.meta.url).pathname

/** Each test starts whole processes, on machines that do much else at the same time. */
jest.setTimeout(60_000)

export interface Ended {
  code: number | null
  stdout: Buffer
  out: string
  err: string
}

export interface Running {
  child: ChildProcess
  /** Resolves when stdout holds `text`. */
  until(text: string): Promise<void>
  ended: Promise<Ended>
}

export interface Workplace {
  folder: string
  /** Writes a kubeconfig with this user and this cluster, besides its server. */
  kubeconfig(server: string, cluster: object, user: object, namespace?: string): Promise<string>
  write(name: string, text: string, mode?: number): Promise<string>
  start(program: Program, args: string[], env?: Record<string, string>): Running
  run(program: Program, args: string[], env?: Record<string, string>): Promise<Ended>
  remove(): Promise<void>
}

export type Program = 'kubectl-approve' | 'kubectl-podgate'

export async function createWorkplace(): Promise<Workplace> {
  const folder = await mkdtemp(join(tmpdir(), 'podgate-cli-'))
  const config = join(folder, 'config')
  const write = async (name: string, text: string, mode = 0o600): Promise<string> => {
    const path = join(folder, name)
    await writeFile(path, text, { mode })
    return path
  }

  function start(program: Program, args: string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [join(ROOT, 'cmd', program, 'main.ts'), ...args], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: folder,
        KUBECONFIG: config,
        XDG_CACHE_HOME: join(folder, 'cache'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    const waiting = new Set<() => void>()
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk)
      for (const check of waiting) check()
    })
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        const bytes = Buffer.concat(stdout)
        const err = Buffer.concat(stderr).toString('utf8')
        resolve({ code, stdout: bytes, out: bytes.toString('utf8'), err })
      })
    })
    const until = (text: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!Buffer.concat(stdout).includes(text)) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
        void ended.then(({ out, err }) =>
          reject(new Error(`ended without "${text}": ${out}${err}`)),
        )
      })
    return { child, until, ended }
  }

  return {
    folder,
    write,
    kubeconfig: (server, cluster, user, namespace) =>
      write(
        'config',
        JSON.stringify({
          'current-context': 'c',
          contexts: [{ name: 'c', context: { cluster: 'c', user: 'u', namespace } }],
          clusters: [{ name: 'c', cluster: { server, ...cluster } }],
          users: [{ name: 'u', user }],
        }),
      ),
    start,
    run: (program, args, env) => start(program, args, env).ended,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

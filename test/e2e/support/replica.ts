/** A second gateway beside that of the sandbox: the same configuration, other ports. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { parse, stringify } from 'yaml'

import { freePorts } from '../../../lib/sandbox/free-port.ts'
import { programFile } from '../../../lib/sandbox/program-file.ts'
import type { Sandbox } from '../../../lib/sandbox/sandbox.ts'

export interface Replica {
  url: string
  metricsUrl: string
  /** What it has said; gone with close(). */
  logFile: string
  close(): Promise<void>
}

export interface ReplicaConfig {
  listen: { port: number }
  metrics: { port: number }
  signIn: { url: string; providers: object[] }
  logLevel: string
}

const READY_MS = 30_000

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get(`http://127.0.0.1:${port}/readyz`, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    }).on('error', () => resolve(false))
  })
}

/** @param change what is different in its configuration; it is told the new one's address */
export async function startReplica(
  { folder }: Pick<Sandbox, 'folder'>,
  change: (config: ReplicaConfig, url: string) => void = () => undefined,
): Promise<Replica> {
  const [port = 0, metricsPort = 0] = await freePorts(2)
  const original = join(folder.root, 'gateway', 'config.yaml')
  const config = parse(await readFile(original, 'utf8')) as ReplicaConfig
  const url = `https://127.0.0.1:${port}`
  config.listen.port = port
  config.metrics.port = metricsPort
  change(config, url)
  const file = join(folder.root, 'gateway', 'replica.yaml')
  await writeFile(file, stringify(config), { mode: 0o600 })
  const logFile = join(folder.root, 'gateway', 'replica.log')
  const log = await open(logFile, 'w', 0o600)
  const child = spawn(process.execPath, [programFile('podgate'), 'serve', '--config', file], {
    stdio: ['ignore', log.fd, log.fd],
  })
  await log.close()
  const ended = once(child, 'exit')
  const onExit = (): void => void child.kill('SIGKILL')
  process.once('exit', onExit)
  const close = async (): Promise<void> => {
    process.off('exit', onExit)
    child.kill('SIGTERM')
    await ended
    await rm(file, { force: true })
    await rm(logFile, { force: true })
  }
  const deadline = Date.now() + READY_MS
  while (!(await isReady(metricsPort))) {
    if (Date.now() > deadline || child.exitCode !== null) {
      await close()
      throw new Error('the second gateway did not get ready')
    }
    await delay(50)
  }
  return { url, metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`, logFile, close }
}

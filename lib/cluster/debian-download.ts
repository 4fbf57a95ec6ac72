/**
 * Unpacks a Debian package into the cache without installing it: no root, no
 * maintainer scripts, and nothing of the machine changes. apt verifies what it
 * downloads.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { GatewayError } from '../errors/gateway-error.ts'
import { searchPath } from './processes.ts'

export interface DebianDownload {
  name: string
  /** How its version begins: `1.20` fits `1.20.5+really1.20.2-1.1`. */
  version: string
}

/** Runs a program in a folder; rejects with what it printed when it fails. */
export type RunIn = (folder: string, command: string, args: readonly string[]) => Promise<unknown>

const TIMEOUT_MS = 5 * 60_000

/** The folder with the files of the package, as `usr/bin/...`; filled by the first call only. */
export async function unpackDebianPackage(
  wanted: DebianDownload,
  cache: string,
  run: RunIn = runIn,
): Promise<string> {
  const target = join(cache, `debian-${wanted.name}-${wanted.version}`)
  if (existsSync(target)) return target
  mkdirSync(cache, { recursive: true })
  const draft = mkdtempSync(join(cache, `.unpacking-${wanted.name}-`))
  try {
    await download(wanted, draft, run)
    const file = readdirSync(draft).find((name) => name.endsWith('.deb'))
    if (file === undefined) throw new Error('apt-get left no package behind')
    const content = join(draft, 'content')
    await run(draft, 'dpkg-deb', ['--extract', file, content])
    // Somebody else may have been faster; theirs is the same.
    if (!existsSync(target)) renameSync(content, target)
  } catch (error) {
    throw new GatewayError(
      'ServiceUnavailable',
      `The Debian package ${wanted.name} ${wanted.version} could not be fetched: ` +
        `try "apt-get download '${wildcard(wanted)}'" (Debian 12 has it)`,
      { cause: error },
    )
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return target
}

async function download(wanted: DebianDownload, folder: string, run: RunIn): Promise<void> {
  // The sandbox user of apt cannot write into folders of root (apt.conf(5), APT::Sandbox::User).
  const args = ['-q', '-o', 'APT::Sandbox::User=root', 'download', wildcard(wanted)]
  try {
    await run(folder, 'apt-get', args)
  } catch (error) {
    if (userInfo().uid !== 0) throw error
    // Most likely the lists are empty or old, as in a fresh container.
    await run(folder, 'apt-get', ['-q', 'update'])
    await run(folder, 'apt-get', args)
  }
}

function wildcard({ name, version }: DebianDownload): string {
  return `${name}=${version}*`
}

async function runIn(folder: string, command: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(command, [...args], {
    cwd: folder,
    timeout: TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
    env: { ...process.env, PATH: searchPath() },
  })
}

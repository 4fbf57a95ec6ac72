/**
 * The Python client of Kubernetes, in a folder of the cache: pinned versions, verified by digest,
 * fetched by pip. Nothing is installed where the machine's own Python looks.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { ensurePackages } from '../../../lib/cluster/debian-packages.ts'
import { cacheFolder, projectFolder } from '../../../lib/cluster/places.ts'
import { silentProgress } from '../../../lib/cluster/progress.ts'
import { runProgram, succeeds } from '../../../lib/cluster/run-program.ts'

const PIP_PACKAGE = { name: 'python3-pip', file: '/usr/bin/pip3' }
const PIP_TIMEOUT_MS = 5 * 60_000

export interface PythonClient {
  program: string
  env: { PYTHONPATH: string }
  script: string
}

export async function pythonClient(cache: string = cacheFolder()): Promise<PythonClient> {
  const program = await pythonWithPip()
  const fixtures = join(projectFolder(), 'test', 'fixtures')
  const requirements = join(fixtures, 'python-client.txt')
  const version = (await runProgram(program, ['-c', VERSION])).trim()
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16)
  const folder = join(cache, `python-client-${version}-${digest}`)
  if (!existsSync(folder)) await fetch(program, requirements, folder, cache)
  return { program, env: { PYTHONPATH: folder }, script: join(fixtures, 'python-client.py') }
}

const VERSION = 'import sys; print("%d.%d" % sys.version_info[:2])'

/** The one on the PATH, else Debian's, which is installed where it is missing. */
async function pythonWithPip(): Promise<string> {
  if (await succeeds('python3', ['-m', 'pip', '--version'])) return 'python3'
  await ensurePackages([PIP_PACKAGE], silentProgress)
  return '/usr/bin/python3'
}

async function fetch(
  program: string,
  requirements: string,
  folder: string,
  cache: string,
): Promise<void> {
  mkdirSync(cache, { recursive: true })
  const draft = mkdtempSync(join(cache, '.fetching-python-client-'))
  const exact = ['--require-hashes', '--no-deps', '--only-binary', ':all:']
  const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...exact]
  try {
    await runProgram(program, [...args, '--target', draft, '--requirement', requirements], {
      timeoutMs: PIP_TIMEOUT_MS,
    })
    // Somebody else may have been faster; theirs is the same.
    if (!existsSync(folder)) renameSync(draft, folder)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/**
 * Where things live on this machine: the project, the cache of built programs,
 * and the run-time record of the instances that are up.
 */
import { existsSync } from 'node:fs'
import { homedir, tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'

/** The folder that holds package.json and test/cluster, from source and from dist alike. */
export function projectFolder(from: string = import.meta.dirname): string {
  let folder = from
  while (!existsSync(join(folder, 'test', 'cluster', 'kubernetes', 'go.mod'))) {
    const parent = dirname(folder)
    if (parent === folder) return from
    folder = parent
  }
  return folder
}

type Environment = Readonly<Record<string, string | undefined>>

/** `$XDG_CACHE_HOME/podgate`; the variable counts only when absolute (XDG base directory spec). */
export function cacheFolder(env: Environment = process.env): string {
  const base = env['XDG_CACHE_HOME']
  return join(base?.startsWith('/') === true ? base : join(homedir(), '.cache'), 'podgate')
}

/** One per machine and user, and gone after a reboot, as the processes recorded in it are. */
export function runFolder(env: Environment = process.env): string {
  const { uid } = userInfo()
  if (uid === 0 && existsSync('/run')) return '/run/podgate'
  const base = env['XDG_RUNTIME_DIR']
  return base?.startsWith('/') === true ? join(base, 'podgate') : join(tmpdir(), `podgate-${uid}`)
}

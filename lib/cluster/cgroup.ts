/**
 * The cgroup all pods of an instance live under: it keeps two kubelets apart,
 * and it names every process of every container, whatever has died before.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'

/** The kubelet checks that its root exists under every controller; it does not make it. */
export function createCgroup(cgroup: string): void {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) {
    const controllers = readText(join(ROOT, 'cgroup.controllers')).trim().split(' ')
    const own = join(ROOT, cgroup)
    mkdirSync(own, { recursive: true })
    for (const folder of [ROOT, own]) enableControllers(folder, controllers)
    return
  }
  for (const hierarchy of hierarchies()) {
    const own = join(hierarchy, cgroup)
    mkdirSync(own, { recursive: true })
    // cgroup v1: a new cpuset is empty, and nothing can run in it.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const given = readText(join(hierarchy, file))
      if (given.trim() !== '' && readText(join(own, file)).trim() === '') {
        writeFileSync(join(own, file), given)
      }
    }
  }
}

/** cgroup v2 refuses it for a folder that has processes itself; then the kubelet says what is missing. */
function enableControllers(folder: string, controllers: readonly string[]): void {
  for (const controller of controllers) {
    try {
      writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`)
    } catch {
      continue
    }
  }
}

/** cgroup v1 has one tree per controller, v2 a single one; both may be mounted at once. */
function hierarchies(): string[] {
  if (!existsSync(ROOT)) return []
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(ROOT, entry.name))
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')))
}

/** Children first: a cgroup with children cannot be removed. */
export function listCgroupFolders(cgroup: string): string[] {
  return [ROOT, ...hierarchies()]
    .map((root) => join(root, cgroup))
    .filter((path) => existsSync(path))
    .flatMap(withChildren)
}

function withChildren(path: string): string[] {
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return [...children.flatMap((entry) => withChildren(join(path, entry.name))), path]
}

export function listCgroupProcesses(cgroup: string): number[] {
  const lines = listCgroupFolders(cgroup).flatMap((path) =>
    readText(join(path, 'cgroup.procs')).split('\n'),
  )
  return [...new Set(lines.filter((line) => line !== '').map(Number))]
}

/** Returns true once nothing is left; the kernel takes a moment after the last process. */
export function removeCgroup(cgroup: string): boolean {
  for (const path of listCgroupFolders(cgroup)) {
    try {
      rmdirSync(path)
    } catch {
      continue
    }
  }
  return listCgroupFolders(cgroup).length === 0
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** What the house rules look at: the project's own files, without what is installed or built. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const PROJECT: string = join(import.meta.dirname, '..', '..')

const NOT_OURS = new Set(['.git', '.podgate', 'coverage', 'dist', 'node_modules'])

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return walk(path)
    return entry.isFile() ? [path] : []
  })
}

/** Paths from the project's root, in order. */
export function projectFiles(isWanted: (path: string) => boolean): string[] {
  return walk(PROJECT)
    .map((path) => relative(PROJECT, path))
    .filter((path) => isWanted(path))
    .toSorted()
}

export function textOf(path: string): string {
  return readFileSync(join(PROJECT, path), 'utf8')
}

const CODE = /^(?:lib|cmd|test)\/.*\.(?:ts|mjs)$/

export function isCode(path: string): boolean {
  return CODE.test(path)
}

/** The folders of lib/, by name. */
export function libFolders(): string[] {
  return readdirSync(join(PROJECT, 'lib'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
}

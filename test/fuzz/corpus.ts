/**
 * Inputs worth keeping, as files: what programs really said, and what once went wrong. `.hex` is
 * hexadecimal with `#` comments, `.lines` holds one input in each line, all else is the input itself.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'

export const PROJECT: string = join(import.meta.dirname, '..', '..')

/** Targets by name, which is that of their file. */
export function targetNames(): string[] {
  return readdirSync(join(import.meta.dirname, 'targets'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .sort()
}

export function readInputs(path: string): Uint8Array[] {
  const bytes = readFileSync(path)
  if (path.endsWith('.hex')) {
    const digits = bytes.toString('latin1').replaceAll(/#.*/g, '').replaceAll(/\s/g, '')
    if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error(`${path} is not hexadecimal`)
    return [Buffer.from(digits, 'hex')]
  }
  if (!path.endsWith('.lines')) return [bytes]
  const lines = bytes.toString('latin1').split('\n')
  return lines.filter((line) => line !== '').map((line) => Buffer.from(line, 'latin1'))
}

export function readCorpus(target: string): Uint8Array[] {
  const folder = join(import.meta.dirname, 'corpus', target)
  if (!existsSync(folder)) return []
  const files = readdirSync(folder).sort()
  return files.flatMap((file) => readInputs(join(folder, file)))
}

/** Returns the path from the project's root. */
export function writeInput(target: string, input: Uint8Array, folder?: string): string {
  const into = folder ?? join(PROJECT, '.podgate', 'fuzz')
  mkdirSync(into, { recursive: true })
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 8)
  const path = join(into, `${target}-${digest}.bin`)
  writeFileSync(path, input)
  return relative(PROJECT, path)
}

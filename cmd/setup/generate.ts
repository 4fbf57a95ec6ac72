/**
 * Writes the TypeScript types of our custom resources, lib/api/*.generated.ts, from crds/*.yaml.
 *
 *   node cmd/setup/generate.ts           writes the files
 *   node cmd/setup/generate.ts --check   writes nothing; exits 1 when a file would change
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { parse } from 'yaml'

import { renderTypes, type CustomResourceDefinition } from './render-types.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CRDS = join(ROOT, 'crds')
const API = join(ROOT, 'lib', 'api')

function kebabCase(kind: string): string {
  return kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase()
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return ''
  }
}

/** The generated files by path, as they should be. */
async function generate(): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const name of (await readdir(CRDS)).toSorted()) {
    if (!name.endsWith('.yaml')) continue
    const crd: CustomResourceDefinition = parse(await readFile(join(CRDS, name), 'utf8'))
    const path = join(API, `${kebabCase(crd.spec.names.kind)}.generated.ts`)
    files.set(path, renderTypes(crd, `crds/${name}`))
  }
  return files
}

const check = process.argv.includes('--check')
let changed = 0
for (const [path, text] of await generate()) {
  if ((await readOrEmpty(path)) === text) continue
  changed++
  const name = relative(ROOT, path)
  if (check) {
    process.stderr.write(`${name} does not fit crds/; run: npm run generate\n`)
  } else {
    await writeFile(path, text)
    process.stdout.write(`${name} written\n`)
  }
}
if (check && changed > 0) process.exitCode = 1

/** kubectl cp both ways: files, folders, and what is not there. */
import { createHash } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Leg, Outcome, Row } from './matrix-legs.ts'
import { outcomeOf } from './matrix-rows-exec.ts'

/** All files below a folder, with what must survive a copy. */
async function treeOf(folder: string, path = ''): Promise<Record<string, string>> {
  const tree: Record<string, string> = {}
  for (const name of (await readdir(join(folder, path))).toSorted()) {
    const inner = join(path, name)
    const file = join(folder, inner)
    const stat = await lstat(file)
    if (stat.isDirectory()) Object.assign(tree, await treeOf(folder, inner))
    else if (stat.isSymbolicLink()) tree[inner] = `-> ${await readlink(file)}`
    else
      tree[inner] = createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
  }
  return tree
}

async function makeTree(leg: Leg): Promise<string> {
  const folder = join(leg.folder, 'tree')
  await mkdir(join(folder, 'inner', 'most'), { recursive: true })
  await writeFile(join(folder, 'empty'), '')
  await writeFile(join(folder, 'größe with blanks.txt'), 'text\n')
  await writeFile(join(folder, 'inner', 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  await writeFile(
    join(folder, 'inner', 'most', 'bytes'),
    Buffer.alloc(700_001, 'a\0\xff\n', 'latin1'),
  )
  await symlink('run.sh', join(folder, 'inner', 'link'))
  return folder
}

const LIST =
  'cd "$0" && find . -type f | sort | while read -r f; do sha256sum "$f"; stat -c %a "$f"; done'

/**
 * kubectl shows what tar says beside the data, and ends without waiting for the rest of it: directly
 * and through the gateway, it is sometimes there, sometimes in part, and sometimes not.
 */
async function download(leg: Leg, from: string, name: string): Promise<Outcome> {
  const result = await leg.kubectl(['cp', `${leg.pod}:${from}`, join(leg.folder, name)])
  const stdout = result.stdout.replaceAll(/^tar: .*\n/gm, '')
  return { ...outcomeOf(result), stdout, more: await treeOf(leg.folder) }
}

/** What kubectl says of a command that ends with 1. */
const ENDED_WITH_1 = 'command terminated with exit code 1\n'

/**
 * kubectl cp ends with the archive, in silence, or with tar itself, in these words, whichever it
 * hears of first; measured: four of 1,190 direct runs end with tar. Nothing else is taken for it, and
 * what tar ends with is compared by a row of its own.
 */
async function downloadNothing(leg: Leg): Promise<Outcome> {
  const outcome = await download(leg, '/no/such/file', 'nothing')
  const isToldByTar = outcome.code === 1 && outcome.stderr === ENDED_WITH_1
  return isToldByTar ? { ...outcome, code: 0, stderr: '' } : outcome
}

async function upAndList(leg: Leg, from: string): Promise<Outcome> {
  const target = `/tmp/${leg.id}`
  const result = outcomeOf(await leg.kubectl(['cp', from, `${leg.pod}:${target}`]))
  const list = await leg.kubectl(['exec', leg.pod, '--', 'sh', '-c', LIST, target])
  return { ...result, more: list.stdout }
}

export const COPY_ROWS: readonly Row[] = [
  {
    name: 'cp of a file into the pod',
    async run(leg) {
      const file = join(leg.folder, 'one.bin')
      await writeFile(file, Buffer.alloc(1_000_001, 'podgate\0\xfe', 'latin1'))
      const result = outcomeOf(await leg.kubectl(['cp', file, `${leg.pod}:/tmp/one.bin`]))
      const digest = await leg.kubectl(['exec', leg.pod, '--', 'sha256sum', '/tmp/one.bin'])
      return { ...result, more: digest.stdout }
    },
    direct: { code: 0, stdout: '', stderr: '' },
  },
  {
    name: 'cp of a folder into the pod',
    run: async (leg) => await upAndList(leg, await makeTree(leg)),
    direct: { code: 0, stdout: '' },
  },
  {
    name: 'cp of a file out of the pod',
    run: async (leg) => await download(leg, '/bin/busybox', 'busybox'),
    direct: { code: 0, stdout: '', stderr: '' },
  },
  {
    name: 'cp of a folder out of the pod',
    run: async (leg) => await download(leg, '/etc', 'etc'),
    direct: { code: 0, stdout: '', stderr: '' },
  },
  {
    name: 'cp of a file that is not there',
    run: downloadNothing,
    direct: { code: 0, stdout: '', stderr: '', more: /^\{\}$/ },
  },
  {
    name: 'the tar that cp runs, of a file that is not there',
    run: async (leg) =>
      outcomeOf(await leg.kubectl(['exec', leg.pod, '--', 'tar', 'cf', '-', '/no/such/file'])),
    direct: { code: 1, stderr: /no such file[^]*command terminated with exit code 1\n$/i },
  },
  {
    name: 'cp from a pod that is not there',
    run: async (leg) =>
      outcomeOf(await leg.kubectl(['cp', 'nobody-0:/etc/passwd', join(leg.folder, 'x')])),
    direct: { code: 1, stderr: /pods "nobody-0" not found/ },
    hasSession: false,
  },
]

/** `kubectl cp` out of a pod: whole runs of stock kubectl, which unpacks the archive as it comes. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import type { Bed } from './bed.ts'
import { measureTransfer, type BulkFile, type BulkOptions, type TextMeasurement } from './bulk.ts'
import { NAMESPACE, PLAIN_POD, POD } from './manifests.ts'
import type { Findings } from './measurement.ts'
import type { Route } from './routes.ts'

const TIMEOUT_MS = 300_000
const run = promisify(execFile)

async function copyOut(bed: Bed, route: Route, { pod, name, bytes }: BulkFile): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'podgate-bench-copy-'))
  try {
    const target = join(dir, name)
    const args = [`--kubeconfig=${route.kubeconfig}`, 'cp', '-n', NAMESPACE]
    const begin = performance.now()
    await run(bed.sandbox.json.kubectl, [...args, `${pod}:/tmp/${name}`, target], {
      timeout: TIMEOUT_MS,
      env: { ...process.env, KUBERC: 'off' },
      ...(bed.admin.signal === undefined ? {} : { signal: bed.admin.signal }),
    })
    const seconds = (performance.now() - begin) / 1000
    const { size } = await stat(target)
    if (size !== bytes) throw new Error(`${route.name}: ${size} of ${bytes} bytes were copied`)
    return size / 1e6 / seconds
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const COPIES: Record<'copy' | 'maskedCopy', TextMeasurement> = {
  /** Unmasked, with the list of files and their digests in the transcript. */
  copy: { name: 'copy', pod: PLAIN_POD, bar: 'cp, content: Digest', wanted: 1 },
  /** Masked, and kept in full. */
  maskedCopy: { name: 'masked copy', pod: POD, bar: 'cp with masks', wanted: 0.75 },
}

export async function measureCopy(
  bed: Bed,
  options: BulkOptions,
  kind: keyof typeof COPIES,
): Promise<Findings> {
  return await measureTransfer(bed, options, COPIES[kind], copyOut)
}

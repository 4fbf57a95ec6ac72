/**
 * The cluster and user entries of a kubeconfig, read into what a connection needs.
 *
 * Source: client-go tools/clientcmd/api/v1/types.go and loader.go. PURE.
 */
import { isAbsolute, join, sep } from 'node:path'

import { CliError, ExitCode } from './cli-error.ts'
import {
  booleanAt,
  isObject,
  listAt,
  textAt,
  textsAt,
  valueAt,
  type JsonObject,
} from './json-value.ts'

export interface Entry {
  value: JsonObject
  /** Folder of the file the entry stands in. */
  folder: string
}

export interface ExecPluginConfig {
  apiVersion: string
  command: string
  args: string[]
  env: { name: string; value: string }[]
  interactiveMode: string | undefined
  provideClusterInfo: boolean
  installHint: string | undefined
}

export interface ClusterConfig {
  server: string
  caFile: string | undefined
  caData: string | undefined
  tlsServerName: string | undefined
  insecureSkipTlsVerify: boolean
  proxyUrl: string | undefined
  /** The extension meant for exec plugins, passed on unread. */
  execExtension: unknown
}

export interface UserConfig {
  token: string | undefined
  tokenFile: string | undefined
  certFile: string | undefined
  certData: string | undefined
  keyFile: string | undefined
  keyData: string | undefined
  exec: ExecPluginConfig | undefined
  /** `as` and its companions: the headers that ask the server to take us for another. */
  impersonation: Record<string, string | string[]>
}

export function clusterOf(name: string, { value, folder }: Entry): ClusterConfig {
  const server = textAt(value, 'server')
  if (server === undefined) {
    throw new CliError(ExitCode.Error, `cluster "${name}" of the kubeconfig has no server`)
  }
  const extension = listAt(value, 'extensions').find(
    (item) => textAt(item, 'name') === 'client.authentication.k8s.io/exec',
  )
  return {
    server,
    caFile: pathIn(folder, textAt(value, 'certificate-authority')),
    caData: textAt(value, 'certificate-authority-data'),
    tlsServerName: textAt(value, 'tls-server-name'),
    insecureSkipTlsVerify: booleanAt(value, 'insecure-skip-tls-verify'),
    proxyUrl: textAt(value, 'proxy-url'),
    execExtension: valueAt(extension, 'extension'),
  }
}

export function userOf(name: string, { value, folder }: Entry): UserConfig {
  if (valueAt(value, 'auth-provider') !== undefined) {
    throw new CliError(
      ExitCode.Error,
      `user "${name}" of the kubeconfig uses auth-provider, which Kubernetes removed in 1.26; use an exec credential plugin`,
    )
  }
  return {
    token: textAt(value, 'token'),
    tokenFile: pathIn(folder, textAt(value, 'tokenFile')),
    certFile: pathIn(folder, textAt(value, 'client-certificate')),
    certData: textAt(value, 'client-certificate-data'),
    keyFile: pathIn(folder, textAt(value, 'client-key')),
    keyData: textAt(value, 'client-key-data'),
    exec: execOf(name, valueAt(value, 'exec'), folder),
    impersonation: impersonationOf(name, value),
  }
}

/** client-go transport/round_trippers.go, NewImpersonatingRoundTripper. */
function impersonationOf(user: string, value: JsonObject): UserConfig['impersonation'] {
  const as = textAt(value, 'as')
  const uid = textAt(value, 'as-uid')
  const groups = textsAt(value, 'as-groups')
  const extra = valueAt(value, 'as-user-extra')
  const extras = isObject(extra) ? Object.keys(extra) : []
  if (as === undefined) {
    if (uid === undefined && groups.length === 0 && extras.length === 0) return {}
    throw new CliError(
      ExitCode.Error,
      `user "${user}" of the kubeconfig: as-uid, as-groups and as-user-extra need as`,
    )
  }
  return {
    'Impersonate-User': as,
    ...(uid === undefined ? {} : { 'Impersonate-Uid': uid }),
    ...(groups.length === 0 ? {} : { 'Impersonate-Group': groups }),
    ...Object.fromEntries(
      extras.map((key) => [`Impersonate-Extra-${encodeURIComponent(key)}`, textsAt(extra, key)]),
    ),
  }
}

function execOf(user: string, exec: unknown, folder: string): ExecPluginConfig | undefined {
  if (!isObject(exec)) return undefined
  const apiVersion = textAt(exec, 'apiVersion')
  const command = textAt(exec, 'command')
  if (apiVersion === undefined || command === undefined) {
    throw new CliError(
      ExitCode.Error,
      `user "${user}" of the kubeconfig: exec needs apiVersion and command`,
    )
  }
  return {
    apiVersion,
    // A bare name is looked up in PATH; only a path is relative to its kubeconfig.
    command: command.includes(sep) ? (pathIn(folder, command) ?? command) : command,
    args: textsAt(exec, 'args'),
    env: listAt(exec, 'env').flatMap((item) => {
      const key = textAt(item, 'name')
      return key === undefined ? [] : [{ name: key, value: textAt(item, 'value') ?? '' }]
    }),
    interactiveMode: textAt(exec, 'interactiveMode'),
    provideClusterInfo: booleanAt(exec, 'provideClusterInfo'),
    installHint: textAt(exec, 'installHint'),
  }
}

function pathIn(folder: string, path: string | undefined): string | undefined {
  return path === undefined || isAbsolute(path) ? path : join(folder, path)
}

/**
 * Runs the exec credential plugin of a kubeconfig user, as kubectl does.
 *
 * Source: client-go plugin/pkg/client/auth/exec/exec.go and
 * k8s.io/client-go/pkg/apis/clientauthentication (v1, v1beta1).
 */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'

import { errorCode, errorText } from '../errors/gateway-error.ts'
import { CliError, ExitCode } from './cli-error.ts'
import type { CliIo } from './io.ts'
import { textAt, valueAt } from './json-value.ts'
import type { ClusterConfig, ExecPluginConfig } from './kubeconfig-entries.ts'

const API_VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']

/** A credential is a few KiB; a plugin that writes more is not one. */
const MAX_OUTPUT_BYTES = 1024 * 1024

export interface PluginCredential {
  token: string | undefined
  cert: string | undefined
  key: string | undefined
}

export async function runExecPlugin(
  plugin: ExecPluginConfig,
  cluster: ClusterConfig,
  io: CliIo,
): Promise<PluginCredential> {
  if (!API_VERSIONS.includes(plugin.apiVersion)) {
    throw new CliError(
      ExitCode.Error,
      `exec plugin ${plugin.command}: apiVersion ${plugin.apiVersion} is not supported; use ${API_VERSIONS[0]}`,
    )
  }
  const interactive = isInteractive(plugin, io)
  const info = {
    kind: 'ExecCredential',
    apiVersion: plugin.apiVersion,
    spec: {
      interactive,
      ...(plugin.provideClusterInfo ? { cluster: await clusterInfo(cluster) } : {}),
    },
  }
  const output = await runCommand(plugin, JSON.stringify(info), interactive, io)
  return readCredential(plugin, output)
}

/** `interactiveMode` is required in v1; v1beta1 knew IfAvailable only, as the default. */
function isInteractive(plugin: ExecPluginConfig, io: CliIo): boolean {
  const isTerminal = io.stdin.isTTY === true
  const mode =
    plugin.interactiveMode ?? (plugin.apiVersion === API_VERSIONS[1] ? 'IfAvailable' : '')
  switch (mode) {
    case 'Never':
      return false
    case 'IfAvailable':
      return isTerminal
    case 'Always':
      if (isTerminal) return true
      throw new CliError(
        ExitCode.Error,
        `exec plugin ${plugin.command} needs a terminal (interactiveMode Always), and stdin is none`,
      )
    default:
      throw new CliError(
        ExitCode.Error,
        `exec plugin ${plugin.command}: interactiveMode must be Never, IfAvailable or Always`,
      )
  }
}

async function clusterInfo(cluster: ClusterConfig): Promise<Record<string, unknown>> {
  const caData =
    cluster.caData ??
    (cluster.caFile === undefined ? undefined : await readFile(cluster.caFile, 'base64'))
  return {
    server: cluster.server,
    ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
    ...(cluster.insecureSkipTlsVerify ? { 'insecure-skip-tls-verify': true } : {}),
    ...(caData === undefined ? {} : { 'certificate-authority-data': caData }),
    ...(cluster.proxyUrl === undefined ? {} : { 'proxy-url': cluster.proxyUrl }),
    ...(cluster.execExtension === undefined ? {} : { config: cluster.execExtension }),
  }
}

function runCommand(
  plugin: ExecPluginConfig,
  info: string,
  interactive: boolean,
  io: CliIo,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...io.env, ...Object.fromEntries(plugin.env.map((e) => [e.name, e.value])) }
    const child = spawn(plugin.command, plugin.args, {
      env: { ...env, KUBERNETES_EXEC_INFO: info },
      stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    })
    const chunks: Buffer[] = []
    let size = 0
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_OUTPUT_BYTES) chunks.push(chunk)
      else child.kill()
    })
    // The plugin's words are for the person: where to sign in, and why it failed.
    child.stderr.on('data', (chunk: Buffer) => io.stderr.write(chunk))
    child.on('error', (error) => reject(pluginFailure(plugin, notStarted(plugin, error))))
    child.on('close', (code, signal) => {
      if (size > MAX_OUTPUT_BYTES) reject(pluginFailure(plugin, 'wrote too much to its stdout'))
      else if (code === 0) resolve(Buffer.concat(chunks).toString('utf8'))
      else
        reject(pluginFailure(plugin, signal === null ? `exit code ${code}` : `ended by ${signal}`))
    })
  })
}

function notStarted(plugin: ExecPluginConfig, error: Error): string {
  return errorCode(error) === 'ENOENT'
    ? `executable ${plugin.command} not found`
    : `cannot be started: ${errorText(error)}`
}

function pluginFailure(plugin: ExecPluginConfig, what: string): CliError {
  const hint = plugin.installHint === undefined ? '' : `\n\n${plugin.installHint}`
  return new CliError(
    ExitCode.Error,
    `getting credentials: exec plugin ${plugin.command}: ${what}${hint}`,
  )
}

function readCredential(plugin: ExecPluginConfig, output: string): PluginCredential {
  let document: unknown
  try {
    document = JSON.parse(output)
  } catch {
    // Never quote what it printed: it may be half a token.
    throw pluginFailure(plugin, 'its stdout is not JSON')
  }
  if (textAt(document, 'kind') !== 'ExecCredential') {
    throw pluginFailure(plugin, 'its stdout is not an ExecCredential')
  }
  if (textAt(document, 'apiVersion') !== plugin.apiVersion) {
    throw pluginFailure(plugin, `it answered in another version than ${plugin.apiVersion}`)
  }
  const status = valueAt(document, 'status')
  const token = textAt(status, 'token')
  const cert = textAt(status, 'clientCertificateData')
  const key = textAt(status, 'clientKeyData')
  if ((cert === undefined) !== (key === undefined)) {
    throw pluginFailure(plugin, 'a client certificate and its key must come together')
  }
  if (token === undefined && cert === undefined) {
    throw pluginFailure(plugin, 'it gave neither a token nor a client certificate')
  }
  return { token, cert, key }
}

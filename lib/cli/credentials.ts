/**
 * What a connection needs of a kubeconfig: the TLS side and the bearer token.
 */
import { readFile } from 'node:fs/promises'

import { errorText } from '../errors/gateway-error.ts'
import { CliError, ExitCode } from './cli-error.ts'
import { runExecPlugin, type PluginCredential } from './exec-plugin.ts'
import type { CliIo } from './io.ts'
import type { ResolvedContext } from './kubeconfig.ts'

export interface TlsMaterial {
  ca?: Buffer
  cert?: Buffer | string
  key?: Buffer | string
  servername?: string
  rejectUnauthorized: boolean
}

export interface Credentials {
  tls: TlsMaterial
  /** `authorization`, and impersonation where the kubeconfig asks for it. */
  headers: Record<string, string | string[]>
}

export interface CredentialSource {
  /** Runs an exec plugin at most once, however often it is asked. */
  current(): Promise<Credentials>
  /**
   * After a 401: true if there may be a fresh credential now (an exec plugin or
   * a token file). `refused` is the one that was sent; when several requests are
   * refused at once, only the first has it replaced.
   */
  forget(refused: Credentials): boolean
}

export function createCredentialSource(context: ResolvedContext, io: CliIo): CredentialSource {
  let pending: Promise<Credentials> | undefined
  let loaded: Credentials | undefined
  const load = async (): Promise<Credentials> => {
    loaded = await loadCredentials(context, io)
    return loaded
  }
  return {
    current: () => (pending ??= load()),
    forget: (refused) => {
      if (loaded === refused) {
        loaded = undefined
        pending = undefined
      }
      return context.user.exec !== undefined || context.user.tokenFile !== undefined
    },
  }
}

async function loadCredentials(context: ResolvedContext, io: CliIo): Promise<Credentials> {
  const { cluster, user } = context
  if (cluster.server.startsWith('http://')) {
    // As kubectl: no credential ever goes over a connection that anyone can read.
    return { tls: { rejectUnauthorized: true }, headers: user.impersonation }
  }
  const ca = await dataOrFile('certificate-authority', cluster.caData, cluster.caFile)
  if (cluster.insecureSkipTlsVerify && ca !== undefined) {
    throw new CliError(
      ExitCode.Error,
      'the kubeconfig sets both a certificate authority and insecure-skip-tls-verify; remove one of them',
    )
  }
  const plugin: PluginCredential | undefined =
    user.exec === undefined ? undefined : await runExecPlugin(user.exec, cluster, io)
  const cert =
    plugin?.cert ?? (await dataOrFile('client-certificate', user.certData, user.certFile))
  const key = plugin?.key ?? (await dataOrFile('client-key', user.keyData, user.keyFile))
  const token = plugin?.token ?? (await tokenOf(user.token, user.tokenFile))
  return {
    tls: {
      rejectUnauthorized: !cluster.insecureSkipTlsVerify,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(cluster.tlsServerName === undefined ? {} : { servername: cluster.tlsServerName }),
    },
    headers: {
      ...user.impersonation,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  }
}

async function dataOrFile(
  what: string,
  data: string | undefined,
  file: string | undefined,
): Promise<Buffer | undefined> {
  if (data !== undefined) return Buffer.from(data, 'base64')
  if (file === undefined) return undefined
  return readNamed(what, file)
}

/** The file wins over the fixed token, since it may have been renewed (client-go rest/transport.go). */
async function tokenOf(
  token: string | undefined,
  file: string | undefined,
): Promise<string | undefined> {
  if (file === undefined) return token
  const text = (await readNamed('tokenFile', file)).toString('utf8').trim()
  return text === '' ? token : text
}

async function readNamed(what: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new CliError(ExitCode.Error, `cannot read ${what} ${file}: ${errorText(error)}`)
  }
}

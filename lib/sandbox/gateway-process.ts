/**
 * The gateway of the sandbox: the same program as in production, as a process of its own, that can
 * be stopped and started again at the same address.
 */
import { writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'

import { stringify } from 'yaml'

import { issueCertificate, type KeyPair } from '../cluster/pki.ts'
import { openInstance } from '../cluster/lifecycle.ts'
import { type Program, startProgram, waitUntil } from '../cluster/processes.ts'
import { CLIENT_ID, GATEWAY_CLIENT_ID, SCOPES } from './identity-provider.ts'

/** How the gateway calls the sandbox's provider. */
export const PROVIDER_NAME = 'sandbox'

const READY_TIMEOUT_MS = 30_000
/** Longer than the gateway itself gives its running streams to end. */
const STOP_GRACE_MS = 15_000

export interface GatewayProcessOptions {
  /** Its own folder for config, certificate and log; removed by close(). */
  stateDir: string
  /** cmd/podgate/main */
  program: string
  authority: KeyPair
  ports: { gateway: number; metrics: number }
  kubeconfig: string
  clusterName: string
  mongodb: { uri: string; database: string }
  oidc: { issuer: string; caFile: string; secret: string }
  tokenSeconds?: number | undefined
  logLevel?: 'debug' | 'info' | undefined
  /** It ended without having been asked to. */
  onUnexpectedEnd: (message: string) => void
}

export interface GatewayControl {
  /** Undefined while it is stopped. */
  readonly pid: number | undefined
  readonly logFile: string
  start(): Promise<void>
  stop(): Promise<void>
  restart(): Promise<void>
}

export interface GatewayProcess extends GatewayControl {
  url: string
  metricsUrl: string
  close(): Promise<void>
}

export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const instance = await openInstance({ name: 'gateway', stateDir: options.stateDir })
  let running: Program | undefined
  const configFile = await writeConfig(options)
  const metricsUrl = `http://127.0.0.1:${options.ports.metrics}`

  const start = async (): Promise<void> => {
    if (running !== undefined && running.ended === undefined) return
    const program = startProgram(instance, {
      name: 'gateway',
      command: process.execPath,
      args: [options.program, 'serve', '--config', configFile],
    })
    running = program
    await waitUntil(async () => (await statusOf(`${metricsUrl}/readyz`)) === 200, {
      what: 'the gateway',
      timeoutMs: READY_TIMEOUT_MS,
      programs: [program],
    })
    void program.whenEnded.then(() => {
      if (running !== program) return
      options.onUnexpectedEnd(
        `the gateway ended by itself (${program.ended ?? ''}); see ${program.logFile}`,
      )
    })
  }
  const stop = async (): Promise<void> => {
    const program = running
    running = undefined
    await program?.stop(STOP_GRACE_MS)
  }

  try {
    await start()
  } catch (error) {
    await instance.close()
    throw error
  }
  instance.beforeClose.push(stop)
  return {
    url: gatewayUrl(options.ports.gateway),
    metricsUrl: `${metricsUrl}/metrics`,
    logFile: join(options.stateDir, 'logs', 'gateway.log'),
    get pid() {
      return running?.ended === undefined ? running?.identity.pid : undefined
    },
    start,
    stop,
    restart: async () => {
      await stop()
      await start()
    },
    close: () => instance.close(),
  }
}

export function gatewayUrl(port: number): string {
  return `https://127.0.0.1:${port}`
}

async function writeConfig(options: GatewayProcessOptions): Promise<string> {
  const { stateDir, ports } = options
  const pair = await issueCertificate(options.authority, {
    commonName: 'podgate',
    hosts: ['127.0.0.1', 'localhost'],
    usages: ['server'],
  })
  const certFile = join(stateDir, 'gateway.crt')
  const keyFile = join(stateDir, 'gateway.key')
  const configFile = join(stateDir, 'config.yaml')
  const clientSecretFile = join(stateDir, 'client-secret')
  await writeFile(certFile, pair.certificate)
  await writeFile(keyFile, pair.privateKey, { mode: 0o600 })
  await writeFile(clientSecretFile, options.oidc.secret, { mode: 0o600 })
  const config = {
    listen: { host: '127.0.0.1', port: ports.gateway, certFile, keyFile },
    metrics: { host: '127.0.0.1', port: ports.metrics },
    cluster: { kubeconfig: options.kubeconfig, name: options.clusterName },
    mongodb: options.mongodb,
    oidc: [
      {
        issuer: options.oidc.issuer,
        audience: CLIENT_ID,
        usernameClaim: 'preferred_username',
        groupsClaim: 'groups',
        caFile: options.oidc.caFile,
      },
    ],
    serviceAccounts: { audiences: ['podgate'] },
    signIn: {
      url: gatewayUrl(ports.gateway),
      ...(options.tokenSeconds === undefined ? {} : { tokenLifetime: `${options.tokenSeconds}s` }),
      providers: [
        {
          name: PROVIDER_NAME,
          oidc: {
            issuer: options.oidc.issuer,
            clientId: GATEWAY_CLIENT_ID,
            clientSecretFile,
            scopes: SCOPES.split(' '),
            // OpenID Connect Core 11: offline_access needs the person's consent.
            parameters: { prompt: 'consent' },
          },
        },
      ],
    },
    auditors: { groups: ['privacy'] },
    admins: { groups: ['oncall'] },
    logLevel: options.logLevel ?? 'info',
  }
  // The address of a given MongoDB may hold its password.
  await writeFile(configFile, stringify(config), { mode: 0o600 })
  return configFile
}

function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 5_000 }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    request.on('timeout', () => request.destroy(new Error('no answer')))
    request.on('error', reject)
  })
}

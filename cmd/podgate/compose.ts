/** Wires the parts of the gateway together. No decisions of its own. */
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

import { createApprovalDesk } from '../../lib/approval/desk.ts'
import type { GatewayConfig } from '../../lib/config/gateway-config.ts'
import { createConsole } from '../../lib/console/api.ts'
import { GatewayError, errorText } from '../../lib/errors/gateway-error.ts'
import { createApiClient } from '../../lib/kube/api-client.ts'
import { createExecDialer } from '../../lib/kube/dial-exec.ts'
import { createForwardDialer } from '../../lib/kube/dial-forward.ts'
import { loadEndpoint } from '../../lib/kube/endpoint.ts'
import { createGateway, type Gateway } from '../../lib/proxy/gateway.ts'
import { SIGN_IN_BASE } from '../../lib/sign-in/sign-in-app.ts'
import {
  closeListener,
  createListener,
  listen,
  type ListenerOptions,
} from '../../lib/proxy/listener.ts'
import { createMaskRules } from '../../lib/proxy/mask-rules.ts'
import { draining } from '../../lib/proxy/messages.ts'
import { MAX_AGE_MS, createPolicySource } from '../../lib/proxy/policy-source.ts'
import { createStoreGate } from '../../lib/proxy/store-gate.ts'
import type { TranscriptStore } from '../../lib/recording/store.ts'
import type { Logger } from '../../lib/telemetry/logger.ts'
import { createMetrics, type Metrics } from '../../lib/telemetry/metrics.ts'
import { createOpsServer, type HealthCheck } from '../../lib/telemetry/ops-server.ts'
import { openIdentity, type OpenIdentity } from './open-identity.ts'
import { openStore } from './open-store.ts'

export interface RunningGateway {
  url: string
  /** Ends all streams with words, seals their records, closes everything. */
  close(): Promise<void>
}

const DRAIN_MS = 10_000

async function readPem(field: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new GatewayError('Invalid', `${field}: ${file} cannot be read (${errorText(error)})`, {
      cause: error,
    })
  }
}

async function clusterUID(client: ReturnType<typeof createApiClient>): Promise<string> {
  const namespace = await client.request<{ metadata: { uid: string } }>(
    'GET',
    '/api/v1/namespaces/kube-system',
  )
  return namespace.metadata.uid
}

function assertFresh(ageMs: number): void {
  if (ageMs > MAX_AGE_MS)
    throw new GatewayError('ServiceUnavailable', `last confirmed ${Math.round(ageMs / 1000)} s ago`)
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

type Closers = (() => Promise<void> | void)[]

async function closeAll(closers: Closers): Promise<void> {
  for (const close of closers.toReversed()) await close()
}

/** Everything that decides and records; each part is closed by what it adds to `closers`. */
async function openGateway(
  config: GatewayConfig,
  version: string,
  log: Logger,
  stop: AbortSignal,
  closers: Closers,
): Promise<{ gateway: Gateway; readiness: HealthCheck[]; metrics: Metrics }> {
  const { kubeconfig, context } = config.cluster
  const limits = config.streams
  const endpoint = await loadEndpoint({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  })
  const client = createApiClient(endpoint)
  closers.push(() => client.close())
  const cluster = await clusterUID(client)
  const { store, check, close } = openStore(config.mongodb, log)
  closers.push(close)
  const onError = (message: string): void => log.warn({ reason: message }, 'watching the cluster')
  const rules = createMaskRules()
  const policies = createPolicySource({ client, checkMasking: rules.check, onError })
  closers.push(() => policies.close())
  const metrics = createMetrics(version, () => policies.ageMs())
  const desk = createApprovalDesk({
    client,
    onError,
    onEnded: (result) => metrics.approvals.inc({ result }),
  })
  closers.push(() => desk.close())
  const identity = await openIdentity(config, log, stop, client)
  closers.push(() => identity.close())
  const gateway = createGateway({
    client,
    clusterUID: cluster,
    policies,
    desk,
    dialer: createExecDialer({ endpoint, first: config.cluster.execWire, limits }),
    forwardDialer: createForwardDialer({ endpoint, limits }),
    limits,
    store,
    storeGate: createStoreGate(),
    maskRules: rules.compile,
    metrics,
    log,
    stop,
    identify: identity.identify,
    revocations: identity.revocations,
    serveConsole: openConsole(config, store, identity),
  })
  const readiness = [
    { name: 'policies', check: () => assertFresh(policies.ageMs()) },
    { name: 'approvals', check: () => assertFresh(desk.ageMs()) },
    { name: 'mongodb', check },
    { name: 'sign-ins', check: identity.check },
  ]
  return { gateway, readiness, metrics }
}

function openConsole(
  config: GatewayConfig,
  store: TranscriptStore,
  { identify, revoker, revocations, serveSignIn, store: logins }: OpenIdentity,
): (request: IncomingMessage, response: ServerResponse) => void {
  const app = createConsole({
    store,
    authenticate: identify,
    auditorGroups: config.auditors.groups,
    adminGroups: config.admins.groups,
    revoker,
    logins,
    watch: revocations.watch,
  })
  return (request, response) => {
    if (serveSignIn !== undefined && request.url?.startsWith(`${SIGN_IN_BASE}/`) === true) {
      serveSignIn(request, response)
    } else app(request, response)
  }
}

function openListener(options: ListenerOptions): ReturnType<typeof createListener> {
  try {
    return createListener(options)
  } catch (error) {
    throw new GatewayError(
      'Invalid',
      `listen, clientCertificates: the certificates cannot be used (${errorText(error)}); are they PEM, and does the key belong to the certificate?`,
      { cause: error },
    )
  }
}

/** What was opened before something failed is closed again, so that the process can end. */
export async function startGateway(
  config: GatewayConfig,
  version: string,
  log: Logger,
): Promise<RunningGateway> {
  const stop = new AbortController()
  const closers: Closers = []
  try {
    const { host, port, certFile, keyFile } = config.listen
    const cert = await readPem('listen.certFile', certFile)
    const key = await readPem('listen.keyFile', keyFile)
    const { gateway, readiness, metrics } = await openGateway(
      config,
      version,
      log,
      stop.signal,
      closers,
    )
    const ops = createOpsServer({
      registry: metrics.registry,
      readiness,
      onUnready: (name, reason) =>
        log.warn({ check: name, reason: errorText(reason) }, 'not ready'),
    })
    closers.push(() => closeServer(ops))
    const { onRequest, onUpgrade } = gateway
    const clients = config.clientCertificates
    const listener = openListener({
      clientCa: clients && (await readPem('clientCertificates.caFile', clients.caFile)),
      clientCrl: clients?.crlFile && (await readPem('clientCertificates.crlFile', clients.crlFile)),
      cert,
      key,
      onRequest,
      onUpgrade,
      patienceMs: config.listen.headTimeout,
    })
    closers.push(() => closeListener(listener, () => gateway.drained(), DRAIN_MS))
    await listen(ops, config.metrics.host, config.metrics.port)
    const bound = await listen(listener, host, port)
    return {
      url: `https://${host}:${bound}`,
      async close() {
        stop.abort(draining())
        await closeAll(closers)
      },
    }
  } catch (error) {
    await closeAll(closers)
    throw error
  }
}

/** Wires the parts of the gateway together. No decisions of its own. */
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'

import { createApprovalDesk } from '../../lib/approval/desk.ts'
import type { GatewayConfig } from '../../lib/config/gateway-config.ts'
import { createConsole } from '../../lib/console/api.ts'
import { GatewayError, errorText } from '../../lib/errors/gateway-error.ts'
import { createAuthenticator } from '../../lib/identity/authenticate.ts'
import { createApiClient } from '../../lib/kube/api-client.ts'
import { createExecDialer } from '../../lib/kube/dial-exec.ts'
import { loadEndpoint } from '../../lib/kube/endpoint.ts'
import { createGateway } from '../../lib/proxy/gateway.ts'
import { closeListener, createListener, listen } from '../../lib/proxy/listener.ts'
import { createMaskRules } from '../../lib/proxy/mask-rules.ts'
import { draining } from '../../lib/proxy/messages.ts'
import { createPolicySource } from '../../lib/proxy/policy-source.ts'
import { createStoreGate } from '../../lib/proxy/store-gate.ts'
import { createMongoStore } from '../../lib/recording/mongo-store.ts'
import { createOrphanSealer } from '../../lib/recording/orphan.ts'
import type { TranscriptStore } from '../../lib/recording/store.ts'
import type { Logger } from '../../lib/telemetry/logger.ts'
import { createMetrics } from '../../lib/telemetry/metrics.ts'
import { createOpsServer } from '../../lib/telemetry/ops-server.ts'

export interface RunningGateway {
  url: string
  /** Ends all streams with words, seals their records, closes everything. */
  close(): Promise<void>
}

const MAX_POLICY_AGE_MS = 15_000
const PREPARE_RETRY_MS = 2000
const DRAIN_MS = 10_000

/** The store may come up after the gateway; until its indexes are there the gateway is not ready. */
function prepareStore(store: TranscriptStore, log: Logger): { isReady(): boolean; stop(): void } {
  let ready = false
  let timer: NodeJS.Timeout | undefined
  function attempt(): void {
    store.prepare().then(
      () => {
        ready = true
      },
      (error: unknown) => {
        log.warn({ reason: errorText(error) }, 'the transcript store is not ready')
        timer = setTimeout(attempt, PREPARE_RETRY_MS)
      },
    )
  }
  attempt()
  return { isReady: () => ready, stop: () => clearTimeout(timer) }
}

async function clusterUID(client: ReturnType<typeof createApiClient>): Promise<string> {
  const namespace = await client.request<{ metadata: { uid: string } }>(
    'GET',
    '/api/v1/namespaces/kube-system',
  )
  return namespace.metadata.uid
}

function assertFresh(ageMs: number): void {
  if (ageMs > MAX_POLICY_AGE_MS)
    throw new GatewayError('ServiceUnavailable', `last confirmed ${Math.round(ageMs / 1000)} s ago`)
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

export async function startGateway(
  config: GatewayConfig,
  version: string,
  log: Logger,
): Promise<RunningGateway> {
  const stop = new AbortController()
  const { kubeconfig, context } = config.cluster
  const endpoint = await loadEndpoint({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  })
  const client = createApiClient(endpoint)
  const onError = (message: string): void => log.warn({ reason: message }, 'watching the cluster')
  const rules = createMaskRules()
  const policies = createPolicySource({ client, checkMasking: rules.check, onError })
  const metrics = createMetrics(version, () => policies.ageMs())
  const desk = createApprovalDesk({
    client,
    onError,
    onEnded: (result) => metrics.approvals.inc({ result }),
  })
  const store = createMongoStore(config.mongodb)
  const preparation = prepareStore(store, log)
  const orphans = createOrphanSealer(store, {
    onSealed: (session) => log.warn({ session }, 'sealed a session whose gateway went away'),
  })
  orphans.start()
  const authenticator = createAuthenticator(
    config.oidc.map(({ caFile, ...issuer }) => ({
      ...issuer,
      ...(caFile === undefined ? {} : { caFile }),
    })),
    {
      onProviderError: (issuer, reason) =>
        log.warn({ issuer, reason }, 'asking a sign-in provider'),
    },
  )
  const consoleApp = createConsole({
    store,
    authenticate: async (request) =>
      await authenticator.authenticate(request.headers.authorization),
    auditorGroups: config.auditors.groups,
  })
  const gateway = createGateway({
    client,
    clusterUID: await clusterUID(client),
    policies,
    desk,
    dialer: createExecDialer({ endpoint, first: config.cluster.execWire }),
    store,
    storeGate: createStoreGate(),
    maskRules: rules.compile,
    metrics,
    log,
    stop: stop.signal,
    authenticator,
    serveConsole: (request, response) => consoleApp(request, response),
  })
  const { host, port, certFile, keyFile } = config.listen
  const listener = createListener({
    cert: await readFile(certFile),
    key: await readFile(keyFile),
    onRequest: gateway.onRequest,
    onUpgrade: gateway.onUpgrade,
  })
  const ops = createOpsServer({
    registry: metrics.registry,
    readiness: [
      { name: 'policies', check: () => assertFresh(policies.ageMs()) },
      { name: 'approvals', check: () => assertFresh(desk.ageMs()) },
      {
        name: 'mongodb',
        check: async () => {
          if (!preparation.isReady())
            throw new GatewayError('ServiceUnavailable', 'indexes are not there yet')
          await store.ping()
        },
      },
    ],
    onUnready: (name, reason) => log.warn({ check: name, reason: errorText(reason) }, 'not ready'),
  })
  await listen(ops, config.metrics.host, config.metrics.port)
  const bound = await listen(listener, host, port)

  return {
    url: `https://${host}:${bound}`,
    async close() {
      stop.abort(draining())
      await closeListener(listener, () => gateway.drained(), DRAIN_MS)
      policies.close()
      desk.close()
      preparation.stop()
      await orphans.stop()
      authenticator.close()
      await closeServer(ops)
      client.close()
      await store.close()
    },
  }
}

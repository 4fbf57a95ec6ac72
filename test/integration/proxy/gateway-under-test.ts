/**
 * The whole gateway on a real TLS socket, in front of a scripted cluster: only
 * the cluster and the store are not the real ones. The store is held in memory
 * and passes the same suite as the one on MongoDB.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'

import { pino } from 'pino'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import { createApprovalDesk, type ApprovalDesk } from '../../../lib/approval/desk.ts'
import { createApiClient, type ApiClient } from '../../../lib/kube/api-client.ts'
import {
  createExecDialer,
  type ExecDialer,
  type ExecTarget,
  type Wire,
} from '../../../lib/kube/dial-exec.ts'
import { createForwardDialer } from '../../../lib/kube/dial-forward.ts'
import { createGateway, type Gateway } from '../../../lib/proxy/gateway.ts'
import { createStoreGate } from '../../../lib/proxy/store-gate.ts'
import { closeListener, createListener, listen } from '../../../lib/proxy/listener.ts'
import { createMaskRules } from '../../../lib/proxy/mask-rules.ts'
import { draining } from '../../../lib/proxy/messages.ts'
import { createPolicySource, type PolicySource } from '../../../lib/proxy/policy-source.ts'
import { createMetrics, type Metrics } from '../../../lib/telemetry/metrics.ts'
import { DEFAULT_STREAM_LIMITS, type StreamLimits } from '../../../lib/streams/stream-limits.ts'
import { eventually } from '../../fakes/eventually.ts'
import { createIdentify } from '../../../lib/identity/identify.ts'
import type { MemoryLoginStore } from '../../fakes/memory-login-store.ts'
import { createMemoryStore, type MemoryStore } from '../../fakes/memory-store.ts'
import { startRevoking, type Revoking } from '../../fakes/revoking.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import type { StoredObject } from '../../fakes/object-store.ts'
import { ScriptedCluster } from '../../fakes/scripted-cluster.ts'
import { startPeople, type People, type Person } from './people.ts'

/** Shared by the tests of one file: making keys takes time. */
export interface Ground {
  pki: TestPki
  people: People
}

export async function prepareGround(): Promise<Ground> {
  return { pki: await createTestPki(), people: await startPeople() }
}

export interface GatewayUnderTest {
  readonly cluster: ScriptedCluster
  readonly client: ApiClient
  readonly store: MemoryStore
  readonly revoking: Revoking
  readonly policies: PolicySource
  readonly desk: ApprovalDesk
  readonly metrics: Metrics
  readonly gateway: Gateway
  readonly port: number
  readonly ca: string
  /** Lines of the log, as JSON. */
  readonly log: string[]
  /** Connections of clients that are open. */
  readonly clients: Set<Socket>
  /** Responses that were begun, the latest last. */
  readonly responses: ServerResponse[]
  readonly ground: Ground
  /** Runs ahead of the real time by so much, for the age of policies. */
  readonly clock: { aheadMs: number }
  /** A client that goes about it as kubectl does: one wire, then the other. */
  kubectl(person: Person, first?: Wire): ExecDialer
  /** As on SIGTERM. */
  shutDown(): void
  /** What follows on `shutDown`. */
  closeListener(patienceMs: number): Promise<void>
  close(): Promise<void>
}

export const POD_PATH = '/api/v1/namespaces/shop/pods/web-0'

/** `cat` there, which sends back what it gets. */
export const CAT: ExecTarget = {
  namespace: 'shop',
  pod: 'web-0',
  subresource: 'exec',
  container: 'main',
  command: ['cat'],
  stdin: true,
  stdout: true,
  stderr: true,
  tty: false,
}

export function pod(uid: string, changes: Partial<StoredObject> = {}): StoredObject {
  return {
    metadata: { name: 'web-0', namespace: 'shop', uid, labels: { app: 'web' } },
    spec: { nodeName: 'n1', containers: [{ name: 'main', image: 'web:1' }] },
    status: {
      phase: 'Running',
      containerStatuses: [{ name: 'main', containerID: `c-${uid}`, restartCount: 0 }],
    },
    ...changes,
  }
}

export function policy(name: string, spec: Partial<AccessPolicy['spec']> = {}): AccessPolicy {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: 'shop', uid: `uid-${name}` },
    spec: {
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: { operations: ['Exec', 'Attach'] },
      ...spec,
    },
  }
}

export const NEEDS_APPROVAL: Partial<AccessPolicy['spec']> = {
  approval: { mode: 'Session', approvers: [{ kind: 'Group', name: 'oncall' }], wait: '1m' },
}

async function startCluster(pki: TestPki, policies: AccessPolicy[]): Promise<ScriptedCluster> {
  const cluster = await ScriptedCluster.start(pki)
  cluster.objects.put('namespaces', { metadata: { name: 'shop' } })
  cluster.objects.put('pods', pod('pod-1'))
  for (const object of policies) cluster.objects.put('accesspolicies', object)
  return cluster
}

interface Listening {
  server: Server
  port: number
  clients: Set<Socket>
  responses: ServerResponse[]
}

async function open(gateway: Gateway, pki: TestPki): Promise<Listening> {
  const clients = new Set<Socket>()
  const responses: ServerResponse[] = []
  const server = createListener({
    cert: pki.server.certificate,
    key: pki.server.privateKey,
    onRequest(request, response) {
      responses.push(response)
      gateway.onRequest(request, response)
    },
    onUpgrade: gateway.onUpgrade,
  })
  server.on('connection', (socket: Socket) => {
    clients.add(socket)
    socket.on('close', () => clients.delete(socket))
  })
  return { server, port: await listen(server, '127.0.0.1', 0), clients, responses }
}

function serveConsole(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain' }).end('console')
}

export async function startGatewayUnderTest(
  ground: Ground,
  accessPolicies: AccessPolicy[] = [policy('free')],
  limits: Partial<StreamLimits> = {},
  logins?: MemoryLoginStore,
): Promise<GatewayUnderTest> {
  const { pki, people } = ground
  const cluster = await startCluster(pki, accessPolicies)
  const client = createApiClient(cluster.endpoint)
  const log: string[] = []
  const rules = createMaskRules()
  const onError = (message: string): void => void log.push(message)
  const clock = { aheadMs: 0 }
  const policies = createPolicySource({
    client,
    checkMasking: rules.check,
    onError,
    now: () => Date.now() + clock.aheadMs,
  })
  const desk = createApprovalDesk({ client, onError })
  const metrics = createMetrics('test', () => policies.ageMs())
  const stop = new AbortController()
  const store = createMemoryStore()
  const revoking = await startRevoking(stop.signal, logins, onError)
  const { revocations } = revoking
  const gateway = createGateway({
    client,
    clusterUID: 'cluster-1',
    policies,
    desk,
    dialer: createExecDialer({ endpoint: cluster.endpoint }),
    forwardDialer: createForwardDialer({ endpoint: cluster.endpoint }),
    store,
    limits: { ...DEFAULT_STREAM_LIMITS, ...limits },
    storeGate: createStoreGate(),
    maskRules: rules.compile,
    metrics,
    log: pino({ level: 'debug' }, { write: (line: string) => void log.push(line) }),
    stop: stop.signal,
    identify: createIdentify({ idTokens: people.authenticator, revocations }),
    revocations,
    serveConsole,
  })
  await Promise.all([
    policies.ready(AbortSignal.timeout(5000)),
    desk.ready(AbortSignal.timeout(5000)),
  ])
  await eventually('three watches', () => cluster.watches.size === 3)
  const { server, port, clients, responses } = await open(gateway, pki)
  return {
    cluster,
    client,
    store,
    revoking,
    policies,
    desk,
    metrics,
    gateway,
    port,
    log,
    ground,
    clients,
    responses,
    clock,
    ca: pki.authority.certificate,
    kubectl: (person, first = 'WebSocket') =>
      createExecDialer({
        first,
        endpoint: {
          ...cluster.endpoint,
          port,
          authorization: () => Promise.resolve(people.bearer(person)),
        },
      }),
    shutDown: () => stop.abort(draining()),
    closeListener: async (patienceMs) =>
      await closeListener(server, () => gateway.drained(), patienceMs),
    async close() {
      store.mode = 'up'
      stop.abort(draining())
      policies.close()
      desk.close()
      revocations.close()
      for (const socket of clients) socket.destroy()
      server.close()
      await cluster.stop()
      await gateway.drained()
      client.close()
    },
  }
}

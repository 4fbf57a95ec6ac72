/**
 * As much of a Kubernetes API server, over real TLS, as the command lines need:
 * approval requests (get, list in pages, watch, merge patch of the status) and
 * SelfSubjectReview. It is not ours, so it may be faked; the e2e tests have the
 * real one.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'

import type { ApprovalRequest } from '../../lib/api/approval-request.generated.ts'
import { createAuthority, issueCertificate, type KeyPair } from '../../lib/cluster/pki.ts'

export interface FakePerson {
  username: string
  groups: string[]
}

export interface SeenRequest {
  method: string
  url: string
  username: string
  userAgent: string
}

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void

export interface FakeKubeApiServer {
  readonly url: string
  readonly ca: KeyPair
  readonly seen: SeenRequest[]
  /** Bearer tokens that are accepted. */
  readonly tokens: Map<string, FakePerson>
  /** Answers before anything else does, where it gives true. */
  intercept: ((request: IncomingMessage, response: ServerResponse, url: URL) => boolean) | undefined
  /** Called with each request whose status was patched, as the gateway's watch would be. */
  onPatched: ((request: ApprovalRequest) => void) | undefined
  /** Creates or changes an approval request and tells the watchers. */
  put(request: ApprovalRequest): void
  get(namespace: string, name: string): ApprovalRequest | undefined
  readonly watchers: number
  close(): Promise<void>
}

export interface FakeServerOptions {
  /** Where the API begins below the host, as behind a gateway of several clusters. */
  pathPrefix?: string
  pageSize?: number
}

interface Watcher {
  scope: string | undefined
  name: string | undefined
  send(type: string, object: ApprovalRequest): void
  end(): void
}

const API = '/apis/podgate.dev/v1alpha1'

export async function startKubeApiServer(
  options: FakeServerOptions = {},
): Promise<FakeKubeApiServer> {
  const prefix = options.pathPrefix ?? ''
  const ca = await createAuthority('fake')
  const tls = await issueCertificate(ca, {
    commonName: 'server',
    hosts: ['127.0.0.1', 'api.internal'],
    usages: ['server'],
  })
  const objects = new Map<string, ApprovalRequest>()
  const watchers = new Set<Watcher>()
  const seen: SeenRequest[] = []
  const tokens = new Map<string, FakePerson>()
  let version = 0

  const server = createServer(
    {
      cert: tls.certificate,
      key: tls.privateKey,
      ca: ca.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      const url = new URL(request.url ?? '/', 'https://fake')
      const person = personOf(request, tokens)
      seen.push({
        method: request.method ?? '',
        url: request.url ?? '',
        username: person?.username ?? '',
        userAgent: request.headers['user-agent'] ?? '',
      })
      if (fake.intercept?.(request, response, url) === true) return
      if (person === undefined) return refuse(response, 401, 'Unauthorized', 'Unauthorized')
      if (!url.pathname.startsWith(`${prefix}/`))
        return refuse(response, 404, 'NotFound', 'not below the prefix')
      void serve(request, response, url, person)
    },
  )

  async function serve(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    person: FakePerson,
  ): Promise<void> {
    const path = url.pathname.slice(prefix.length)
    const body = await readJson(request)
    if (path === '/apis/authentication.k8s.io/v1/selfsubjectreviews') {
      return answer(response, 201, { kind: 'SelfSubjectReview', status: { userInfo: person } })
    }
    const match = /^(?:\/namespaces\/([^/]+))?\/approvalrequests(?:\/([^/]+)(\/status)?)?$/.exec(
      path.startsWith(API) ? path.slice(API.length) : '',
    )
    if (match === null) {
      return refuse(response, 404, 'NotFound', 'the server could not find the requested resource')
    }
    const [, namespace, name, status] = match
    if (name === undefined) {
      if (url.searchParams.get('watch') === 'true') return watch(response, url, namespace)
      return list(response, url, namespace)
    }
    const object = objects.get(`${namespace}/${name}`)
    if (object === undefined) {
      return refuse(response, 404, 'NotFound', `approvalrequests.podgate.dev "${name}" not found`)
    }
    if (request.method === 'PATCH' && status !== undefined)
      return patch(request, response, object, body)
    return answer(response, 200, object)
  }

  function list(response: ServerResponse, url: URL, namespace: string | undefined): void {
    const wanted = nameSelector(url)
    const all = [...objects.values()].filter(
      ({ metadata }) =>
        (namespace === undefined || metadata.namespace === namespace) &&
        (wanted === undefined || metadata.name === wanted),
    )
    const from = Number(url.searchParams.get('continue') ?? 0)
    const size = options.pageSize ?? Number(url.searchParams.get('limit') ?? all.length)
    const next = from + size < all.length ? String(from + size) : undefined
    answer(response, 200, {
      kind: 'ApprovalRequestList',
      metadata: { resourceVersion: String(version), continue: next },
      items: all.slice(from, from + size),
    })
  }

  function watch(response: ServerResponse, url: URL, namespace: string | undefined): void {
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    const watcher: Watcher = {
      scope: namespace,
      name: nameSelector(url),
      send: (type, object) => void response.write(`${JSON.stringify({ type, object })}\n`),
      end: () => response.end(),
    }
    watchers.add(watcher)
    response.on('close', () => watchers.delete(watcher))
    const since = Number(url.searchParams.get('resourceVersion') ?? 0)
    for (const object of objects.values()) {
      if (Number(object.metadata.resourceVersion) > since) tell(watcher, object)
    }
  }

  function tell(watcher: Watcher, object: ApprovalRequest): void {
    const { namespace, name } = object.metadata
    if (watcher.scope !== undefined && watcher.scope !== namespace) return
    if (watcher.name !== undefined && watcher.name !== name) return
    watcher.send('MODIFIED', object)
  }

  function patch(
    request: IncomingMessage,
    response: ServerResponse,
    object: ApprovalRequest,
    body: unknown,
  ): void {
    if (request.headers['content-type'] !== 'application/merge-patch+json') {
      return refuse(response, 415, 'UnsupportedMediaType', 'not a merge patch')
    }
    const { metadata, status } = body as Partial<ApprovalRequest>
    if (metadata?.resourceVersion !== object.metadata.resourceVersion) {
      return refuse(response, 409, 'Conflict', 'the object has been modified')
    }
    fake.put({ ...object, status: { ...object.status, ...status } })
    const stored = objects.get(keyOf(object)) ?? object
    answer(response, 200, stored)
    fake.onPatched?.(stored)
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const fake: FakeKubeApiServer = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`,
    ca,
    seen,
    tokens,
    intercept: undefined,
    onPatched: undefined,
    put: (request) => {
      version += 1
      const stored = {
        ...request,
        metadata: { ...request.metadata, resourceVersion: String(version) },
      }
      objects.set(keyOf(stored), stored)
      for (const watcher of watchers) tell(watcher, stored)
    },
    get: (namespace, name) => objects.get(`${namespace}/${name}`),
    get watchers() {
      return watchers.size
    },
    close: async () => {
      for (const watcher of watchers) watcher.end()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return fake
}

function keyOf({ metadata }: ApprovalRequest): string {
  return `${metadata.namespace}/${metadata.name}`
}

function nameSelector(url: URL): string | undefined {
  return /^metadata\.name=(.+)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1]
}

function personOf(
  request: IncomingMessage,
  tokens: ReadonlyMap<string, FakePerson>,
): FakePerson | undefined {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  if (token !== undefined) return tokens.get(token)
  const socket = request.socket as TLSSocket
  if (!socket.authorized) return undefined
  const { subject } = socket.getPeerCertificate()
  return { username: String(subject.CN), groups: [subject.O ?? []].flat() }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString('utf8')
  return text === '' ? undefined : (JSON.parse(text) as unknown)
}

export function answer(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
): void {
  answer(response, code, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    reason,
    message,
    code,
  })
}

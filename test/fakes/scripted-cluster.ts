/**
 * A Kubernetes API server as a test wants it: objects with versions and
 * watches, access reviews, exec upgrades taken by the real legs, and every kind
 * of misbehaviour on request. It is not ours, so it may be faked; the e2e tests
 * have the real one.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import type { ApiEndpoint } from '../../lib/kube/endpoint.ts'
import type { StreamSession } from '../../lib/streams/session.ts'
import { ObjectStore, type StoredObject, type WatchEvent } from './object-store.ts'
import { accept, type Answer, type TestPki } from './scripted-api-server.ts'

export interface SeenRequest {
  method: string
  /** Path with query, as it came. */
  url: string
  /** `name: value` as it came, one entry per line. */
  headers: string[]
  message: IncomingMessage
}

export type Intercept = (request: IncomingMessage, response: ServerResponse, url: URL) => boolean

export class ScriptedCluster {
  readonly endpoint: ApiEndpoint
  readonly objects: ObjectStore = new ObjectStore()
  readonly requests: SeenRequest[] = []
  /** Legs of accepted execs. */
  readonly sessions: StreamSession[] = []
  /** Answers before anything else does, where it gives true. */
  intercept: Intercept | undefined
  /** What becomes of upgrades; accepted with the streams they ask for by default. */
  upgrade: Answer = accept(() => this.sessions)
  /** Whether access reviews say yes. */
  allows: (user: string, attributes: Record<string, unknown>) => boolean = () => true
  connections = 0
  readonly open: Set<Socket> = new Set()
  readonly watches: Set<ServerResponse> = new Set()
  readonly #pki: TestPki
  #server: Server

  private constructor(pki: TestPki) {
    this.#pki = pki
    this.#server = this.#createServer()
    this.endpoint = {
      host: '127.0.0.1',
      port: 0,
      basePath: '',
      tls: { ca: pki.authority.certificate },
      authorization: () => Promise.resolve('Bearer of-the-gateway'),
    }
  }

  static async start(pki: TestPki): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(pki)
    await cluster.listen()
    return cluster
  }

  /** After `stop`, on the same port again. */
  async listen(): Promise<void> {
    if (this.#server.listening) return
    this.#server = this.#createServer()
    this.#server.listen(this.endpoint.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.endpoint.port = (this.#server.address() as AddressInfo).port
  }

  /** As a killed process: the port closed, every connection cut. */
  async stop(): Promise<void> {
    for (const session of this.sessions) session.abort('test over')
    for (const socket of this.open) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  seen(path: string | RegExp, method?: string): SeenRequest[] {
    return this.requests.filter(
      (request) =>
        (typeof path === 'string' ? request.url.split('?')[0] === path : path.test(request.url)) &&
        (method === undefined || request.method === method),
    )
  }

  #createServer(): Server {
    const { certificate, privateKey } = this.#pki.server
    const server = createServer({ cert: certificate, key: privateKey, maxHeaderSize: 256 * 1024 })
    server.on('connection', (socket: Socket) => {
      this.connections += 1
      this.open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => this.open.delete(socket))
    })
    server.on('tlsClientError', () => undefined)
    server.on('request', (request, response) => {
      response.on('error', () => undefined)
      request.on('error', () => undefined)
      this.#note(request)
      const url = new URL(request.url ?? '/', 'https://cluster')
      if (this.intercept?.(request, response, url) === true) return
      void this.#serve(request, response, url)
    })
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined)
      this.#note(request)
      void Promise.resolve(this.upgrade(socket, request, head)).catch(() => undefined)
    })
    return server
  }

  #note(request: IncomingMessage): void {
    const headers: string[] = []
    for (let n = 0; n < request.rawHeaders.length; n += 2) {
      headers.push(`${request.rawHeaders[n]?.toLowerCase()}: ${request.rawHeaders[n + 1]}`)
    }
    const { method = '', url = '' } = request
    this.requests.push({ method, url, headers, message: request })
  }

  async #serve(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const body = await readJson(request).catch(() => undefined)
    if (url.pathname === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews') {
      const { spec } = body as { spec: { resourceAttributes: Record<string, unknown> } }
      const user = String(request.headers['impersonate-user'])
      json(response, 201, { status: { allowed: this.allows(user, spec.resourceAttributes) } })
      return
    }
    const place = placeOf(url.pathname)
    if (place === undefined) refuse(response, 404, 'NotFound', 'no such path')
    else if (place.name === undefined) this.#serveCollection(request, response, url, place, body)
    else this.#serveObject(request, response, { ...place, name: place.name }, body)
  }

  #serveCollection(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    { plural, namespace }: Place,
    body: unknown,
  ): void {
    if (request.method === 'POST') {
      const object = body as StoredObject
      const metadata = {
        ...object.metadata,
        creationTimestamp: new Date().toISOString(),
        ...(namespace === undefined ? {} : { namespace }),
      }
      if (this.objects.get(plural, namespace, metadata.name) !== undefined) {
        refuse(response, 409, 'AlreadyExists', `${plural} "${metadata.name}" already exists`)
      } else json(response, 201, this.objects.put(plural, { ...object, metadata }))
    } else if (url.searchParams.get('watch') === 'true') this.#watch(response, url, plural)
    else {
      const metadata = { resourceVersion: String(this.objects.version) }
      json(response, 200, { metadata, items: this.objects.list(plural, namespace) })
    }
  }

  #watch(response: ServerResponse, url: URL, plural: string): void {
    const send = (event: WatchEvent): void => {
      response.write(`${JSON.stringify({ type: event.type, object: event.object })}\n`)
    }
    const since = Number(url.searchParams.get('resourceVersion') ?? 0)
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
    const leave = this.objects.watch(plural, since, send)
    if (leave === undefined) {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      return
    }
    this.watches.add(response)
    const seconds = Number(url.searchParams.get('timeoutSeconds') ?? 300)
    const timer = setTimeout(() => response.end(), seconds * 1000)
    response.on('close', () => {
      clearTimeout(timer)
      this.watches.delete(response)
      leave()
    })
  }

  #serveObject(
    request: IncomingMessage,
    response: ServerResponse,
    { plural, namespace, name, status }: Place & { name: string },
    body: unknown,
  ): void {
    const object = this.objects.get(plural, namespace, name)
    if (object === undefined) {
      refuse(response, 404, 'NotFound', `${plural} "${name}" not found`)
      return
    }
    const given = body as Partial<StoredObject> | undefined
    const wanted = given?.metadata?.resourceVersion
    if (wanted !== undefined && wanted !== object.metadata.resourceVersion) {
      refuse(response, 409, 'Conflict', `${plural} "${name}": the object has been modified`)
    } else if (request.method === 'GET') json(response, 200, object)
    else if (request.method === 'DELETE') {
      this.objects.remove(plural, namespace, name)
      json(response, 200, object)
    } else {
      const changed = status ? { ...object, status: given?.status } : { ...object, ...given }
      json(response, 200, this.objects.put(plural, changed))
    }
  }
}

interface Place {
  plural: string
  namespace: string | undefined
  name: string | undefined
  status: boolean
}

const PATH =
  /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/([a-z]+)(?:\/([^/]+)(\/status)?)?$/

function placeOf(path: string): Place | undefined {
  const match = PATH.exec(path)
  if (match === null) return undefined
  const [, namespace, plural = '', name, status] = match
  return { plural, namespace, name, status: status !== undefined }
}

export async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const text = (await readBytes(request)).toString('utf8')
  return text === '' ? undefined : (JSON.parse(text) as unknown)
}

export function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
): void {
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' }
  json(response, code, { ...status, message, reason, code })
}

/**
 * A real API server with our custom resources, and clients of all sorts to try it with.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { parseAllDocuments } from 'yaml'

import {
  startControlPlane,
  type ControlPlane,
  type ControlPlaneOptions,
} from '../../../lib/cluster/control-plane.ts'
import type { Status } from '../../../lib/errors/status.ts'
import {
  createApiClient,
  UpstreamStatusError,
  type ApiClient,
} from '../../../lib/kube/api-client.ts'
import { loadEndpoint } from '../../../lib/kube/endpoint.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

export const GATEWAY = 'system:serviceaccount:podgate-system:podgate'

export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; [field: string]: unknown }
  status?: object
  [field: string]: unknown
}

export interface Person {
  username: string
  groups?: string[]
  extra?: Record<string, string[]>
}

/** How a request went: the object, or the API server's own refusal. */
export interface Outcome {
  code: number
  body: KubeObject | undefined
  status: Status | undefined
  /** The refusal's message; empty when there is none. */
  message: string
}

export interface Call {
  as?: Person
  headers?: Record<string, string | string[]>
  body?: unknown
  contentType?: string
}

export interface Api {
  controlPlane: ControlPlane
  /** As cluster administrator, or as whoever that one impersonates. */
  call(method: string, path: string, call?: Call): Promise<Outcome>
  /** With the bearer token of a service account, and nothing else. */
  callWithToken(token: string, method: string, path: string, call?: Call): Promise<Outcome>
  /** Fails unless it works. */
  create(object: KubeObject): Promise<KubeObject>
  close(): Promise<void>
}

function impersonation({
  username,
  groups = [],
  extra = {},
}: Person): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'Impersonate-User': username }
  if (groups.length > 0) headers['Impersonate-Group'] = groups
  for (const [key, values] of Object.entries(extra)) {
    headers[`Impersonate-Extra-${key.replaceAll('/', '%2F')}`] = values
  }
  return headers
}

const PLURALS: Record<string, string> = {
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
  AccessPolicy: 'accesspolicies',
  ClusterAccessPolicy: 'clusteraccesspolicies',
}

/** The path to create an object at. */
export function pathFor({ apiVersion, kind, metadata }: KubeObject): string {
  const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  return `${base}${namespace}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}`
}

/** All objects of the YAML files of a folder of ours. */
export function manifests(folder: string): KubeObject[] {
  return readdirSync(join(ROOT, folder))
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => parseAllDocuments(readFileSync(join(ROOT, folder, file), 'utf8')))
    .map((document) => document.toJS() as KubeObject)
}

/** Repeats until it holds; a real server needs a moment to take up new rules. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within 30 s`)
    await delay(50)
  }
}

async function outcomeOf(request: Promise<KubeObject>): Promise<Outcome> {
  try {
    return { code: 200, body: await request, status: undefined, message: '' }
  } catch (error) {
    if (!UpstreamStatusError.is(error)) throw error
    const { httpCode, status } = error
    return { code: httpCode, body: undefined, status, message: status.message ?? '' }
  }
}

async function send(
  client: ApiClient,
  method: string,
  path: string,
  { as, headers, ...rest }: Call,
): Promise<Outcome> {
  const own = as === undefined ? {} : impersonation(as)
  const all = { ...rest, headers: { ...own, ...headers } }
  return await outcomeOf(client.request<KubeObject>(method, path, all))
}

export async function startApi(
  options: Pick<ControlPlaneOptions, 'apiServer' | 'controllerManager'> = {},
): Promise<Api> {
  const stateDir = mkdtempSync(join(tmpdir(), 'podgate-admission-'))
  const controlPlane = await startControlPlane({ ...options, name: 'admission', stateDir })
  const endpoint = await loadEndpoint({ kubeconfig: controlPlane.adminKubeconfig })
  const admin = createApiClient(endpoint)
  const { ca } = endpoint.tls
  const bearers = new Map<string, ApiClient>()

  function bearer(token: string): ApiClient {
    const client =
      bearers.get(token) ??
      createApiClient({
        ...endpoint,
        tls: ca === undefined ? {} : { ca },
        authorization: async () => await Promise.resolve(`Bearer ${token}`),
      })
    bearers.set(token, client)
    return client
  }

  return {
    controlPlane,
    call: async (method, path, call = {}) => await send(admin, method, path, call),
    callWithToken: async (token, method, path, call = {}) =>
      await send(bearer(token), method, path, call),
    async create(object) {
      return await admin.request<KubeObject>('POST', pathFor(object), { body: object })
    },
    async close() {
      admin.close()
      for (const client of bearers.values()) client.close()
      await controlPlane.close()
      rmSync(stateDir, { recursive: true, force: true })
    },
  }
}

/** The status of an object; empty where there is none. */
export function statusOf<T>(object: KubeObject | undefined): Partial<T> {
  return object?.['status'] ?? {}
}

/** Installs definitions and waits until the API server serves them. */
export async function installResources(
  api: Api,
  change: (crd: KubeObject) => KubeObject = (crd) => crd,
): Promise<void> {
  const definitions = manifests('crds')
  for (const definition of definitions) await api.create(change(definition))
  for (const { metadata } of definitions) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${metadata.name}`
    await until(metadata.name, async () => {
      const { body } = await api.call('GET', path)
      // Null at first, not absent.
      const { conditions } = statusOf<{ conditions: { type: string; status: string }[] | null }>(
        body,
      )
      return (conditions ?? []).some(
        ({ type, status }) => type === 'Established' && status === 'True',
      )
    })
  }
}

export function namespaceNamed(name: string, labels: Record<string, string> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
}

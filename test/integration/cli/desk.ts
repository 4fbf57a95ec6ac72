/** A fake API server with approval requests, a person signed in, and `kubectl approve` as a program. */
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals'

import type {
  ApprovalRequest,
  ApprovalRequestCondition,
} from '../../../lib/api/approval-request.generated.ts'
import { refuse, startKubeApiServer, type FakeKubeApiServer } from '../../fakes/kube-api-server.ts'
import { buildRequest, condition, type RequestOptions } from '../../unit/cli/approve/requests.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

export interface Desk {
  readonly server: FakeKubeApiServer
  readonly place: Workplace
  /** Writes the kubeconfig of bo (oncall) or ana (dev). */
  signIn(token: 'bo' | 'ana', namespace?: string): Promise<void>
  /** A request of the real moment, since the programs have the real clock. */
  put(options?: RequestOptions): void
  /** Does once what the gateway does after a decision. */
  conclude(type: ApprovalRequestCondition['type']): (request: ApprovalRequest) => void
  approve(...args: string[]): Promise<Ended>
  decisions(name?: string, namespace?: string): unknown
  forbid(matches: (url: URL, method: string) => boolean): void
}

export const isClusterList = (url: URL): boolean =>
  url.pathname === '/apis/podgate.dev/v1alpha1/approvalrequests'

/** Call once at the top of a test file: it registers the hooks. */
export function useDesk(): Desk {
  let server: FakeKubeApiServer
  let place: Workplace

  beforeAll(async () => {
    place = await createWorkplace()
  })
  afterAll(() => place.remove())
  beforeEach(async () => {
    server = await startKubeApiServer({ pageSize: 2 })
    server.tokens.set('bo', { username: 'bo', groups: ['oncall', 'system:authenticated'] })
    server.tokens.set('ana', { username: 'ana', groups: ['dev', 'system:authenticated'] })
    await signIn('bo')
  })
  afterEach(() => server.close())

  async function signIn(token: string, namespace?: string): Promise<void> {
    const caData = Buffer.from(server.ca.certificate).toString('base64')
    const cluster = { 'certificate-authority-data': caData }
    await place.kubeconfig(server.url, cluster, { token }, namespace)
  }

  return {
    get server() {
      return server
    },
    get place() {
      return place
    },
    signIn,
    put: (options = {}) => {
      const request = buildRequest(options)
      const expiresAt = new Date(Date.now() + (options.expiresInMs ?? 300_000)).toISOString()
      server.put({ ...request, spec: { ...request.spec, expiresAt } })
    },
    conclude: (type) => (request) => {
      server.onPatched = undefined
      const now = { ...condition(type, 'because'), lastTransitionTime: new Date().toISOString() }
      server.put({ ...request, status: { ...request.status, conditions: [now] } })
    },
    approve: (...args) => place.run('kubectl-approve', args),
    decisions: (name = 'apreq-7k2', namespace = 'shop') =>
      server.get(namespace, name)?.status?.decisions,
    forbid: (matches) => {
      server.intercept = (request, response, url) => {
        if (!matches(url, request.method ?? '')) return false
        refuse(response, 403, 'Forbidden', `${url.pathname} is forbidden`)
        return true
      }
    },
  }
}

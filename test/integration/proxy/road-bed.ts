/** A gateway whose cluster has programs behind proxies, tokens and people to act as. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import type { AccessPolicy } from '../../../lib/api/access-policy.generated.ts'
import type { ClusterAccessPolicy } from '../../../lib/api/cluster-access-policy.generated.ts'
import { parseEvent, type SessionEvent } from '../../../lib/recording/event.ts'
import { decodeFrame, type Entry } from '../../../lib/recording/frame.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import { eventually } from '../../fakes/eventually.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import {
  policy,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

export const SERVICE: string = '/api/v1/namespaces/shop/services/web:80/proxy'
export const POD: string = '/api/v1/namespaces/shop/pods/web-0:8080/proxy'
export const NODE: string = '/api/v1/nodes/n1/proxy'
export const TOKEN: string = '/api/v1/namespaces/shop/serviceaccounts/robot/token'

export function clusterPolicy(
  name: string,
  match: ClusterAccessPolicy['spec']['match'],
): ClusterAccessPolicy {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'ClusterAccessPolicy',
    metadata: { name, uid: `uid-${name}` },
    spec: { subjects: [{ kind: 'Group', name: 'dev' }], match },
  }
}

export class RoadBed {
  readonly under: GatewayUnderTest
  readonly #ground: Ground

  private constructor(under: GatewayUnderTest, ground: Ground) {
    this.under = under
    this.#ground = ground
  }

  static async start(
    ground: Ground,
    spec: Partial<AccessPolicy['spec']>,
    ...cluster: ClusterAccessPolicy[]
  ): Promise<RoadBed> {
    const under = await startGatewayUnderTest(ground, [policy('road', spec)])
    const { objects } = under.cluster
    objects.put('services', {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { ports: [{ name: 'http', port: 80 }] },
    })
    for (const object of cluster) objects.put('clusteraccesspolicies', object)
    const all = 1 + cluster.length
    await eventually('the policies', () => under.policies.current().length === all)
    under.cluster.requests.length = 0
    return new RoadBed(under, ground)
  }

  /** What answers behind a path that matches. */
  serves(path: RegExp, answer: (request: IncomingMessage, response: ServerResponse) => void): void {
    this.under.cluster.intercept = (request, response, url) => {
      if (!path.test(url.pathname)) return false
      answer(request, response)
      return true
    }
  }

  async ask(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Uint8Array,
  ): Promise<Answered> {
    return await askGateway(this.under, this.#ground, path, { method, headers }, body)
  }

  async sealed(): Promise<SessionDocument> {
    const ended = (): SessionDocument | undefined =>
      [...this.under.store.sessions.values()].find(({ end }) => end !== null)
    await eventually('a sealed record', () => ended() !== undefined)
    return ended() as SessionDocument
  }

  async entries(): Promise<Entry[]> {
    const all: Entry[] = []
    for (const frame of this.under.store.frames.values()) {
      if (frame.kind === 'data') all.push(...(await decodeFrame(frame)))
    }
    return all
  }

  async events(): Promise<SessionEvent[]> {
    const all = await this.entries()
    return all.filter(({ kind }) => kind === 'event').flatMap(({ data }) => parseEvent(data) ?? [])
  }

  /** The Impersonate lines of the requests for a path, each request's sorted. */
  identities(path: RegExp): string[][] {
    return this.under.cluster
      .seen(path)
      .map(({ headers }) => headers.filter((line) => line.startsWith('impersonate')).sort())
  }
}

export function wordsOf({ body }: Answered): string {
  return (JSON.parse(body.toString()) as { message: string }).message
}

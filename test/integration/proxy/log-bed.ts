/** A gateway whose cluster serves logs as a test wants, and clients that read them. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'

import { parseEvent, type SessionEvent } from '../../../lib/recording/event.ts'
import { decodeFrame, type Entry } from '../../../lib/recording/frame.ts'
import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import { eventually } from '../../fakes/eventually.ts'
import { askGateway, type Answered } from './ask-gateway.ts'
import {
  POD_PATH,
  policy,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'

export const LOG_PATH: string = `${POD_PATH}/log`
export const LOGS: { match: { operations: 'Logs'[] } } = { match: { operations: ['Logs'] } }

export class LogBed {
  readonly under: GatewayUnderTest
  readonly #ground: Ground

  private constructor(under: GatewayUnderTest, ground: Ground) {
    this.under = under
    this.#ground = ground
  }

  static async start(ground: Ground): Promise<LogBed> {
    const under = await startGatewayUnderTest(ground, [policy('logs', LOGS)])
    under.cluster.requests.length = 0
    return new LogBed(under, ground)
  }

  /** What the node does with a request for logs. */
  node(answer: (response: ServerResponse, url: URL) => void): void {
    this.under.cluster.intercept = (_request, response, url) => {
      if (url.pathname !== LOG_PATH) return false
      answer(response, url)
      return true
    }
  }

  says(text: string): void {
    this.node((response) => response.writeHead(200, { 'content-type': 'text/plain' }).end(text))
  }

  /** A log that is being written; resolves with the node's side of it. */
  live(): Promise<ServerResponse> {
    return new Promise((resolve) => {
      this.node((response) => {
        response.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders()
        resolve(response)
      })
    })
  }

  async ask(query = '', options: { method?: string } = {}): Promise<Answered> {
    return await askGateway(this.under, this.#ground, LOG_PATH, { query, ...options })
  }

  /** A client that has the head and reads as the test wants. */
  async follow(query = '?follow=true'): Promise<IncomingMessage> {
    const request = httpsRequest({
      host: '127.0.0.1',
      port: this.under.port,
      ca: this.under.ca,
      path: LOG_PATH + query,
      headers: { authorization: this.#ground.people.bearer('ana') },
      agent: false,
    })
    request.on('error', () => undefined)
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => undefined)
    return response
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

  /** Queries of the requests for logs that have come to the cluster. */
  asked(): URLSearchParams[] {
    return this.under.cluster
      .seen(LOG_PATH)
      .map(({ url }) => new URL(url, 'https://x').searchParams)
  }
}

export async function nextChunk(response: IncomingMessage): Promise<string> {
  const [chunk] = (await once(response, 'data')) as [Buffer]
  return chunk.toString()
}

export function messageOf({ body }: Answered): string {
  return (JSON.parse(body.toString()) as { message: string }).message
}

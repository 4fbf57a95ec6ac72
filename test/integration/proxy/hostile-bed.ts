/**
 * A gateway with one well-behaved session that runs all the time, and the words of hostile peers:
 * whatever they do, that session goes on, and nothing of theirs is left.
 */
import type { Duplex } from 'node:stream'

import { expect } from '@jest/globals'

import { encodeDataHeader, encodeSynStream } from '../../../lib/spdy/encode.ts'
import { HeaderBlockEncoder } from '../../../lib/spdy/header-block.ts'
import type { StreamName } from '../../../lib/streams/channel.ts'
import type { StreamSession } from '../../../lib/streams/session.ts'
import type { StreamLimits } from '../../../lib/streams/stream-limits.ts'
import { observe } from '../../conformance/observe.ts'
import { eventually } from '../../fakes/eventually.ts'
import {
  CAT,
  NEEDS_APPROVAL,
  POD_PATH,
  policy,
  startGatewayUnderTest,
  type GatewayUnderTest,
  type Ground,
} from './gateway-under-test.ts'
import { signedHead, type RawClient } from './raw-client.ts'
import { SPDY as TO_SPDY, V4, V5, WEBSOCKET as TO_WEBSOCKET } from './upgrade-heads.ts'

export interface HostileBed {
  readonly under: GatewayUnderTest
  /** The upstream leg that was taken last, as the pod has it. */
  upstream(): StreamSession
  /** The bystander still works, and it is the only one that is left. */
  onlyTheBystander(): Promise<void>
  close(): Promise<void>
}

function echo(pod: StreamSession): void {
  pod.start({
    onData: (channel, data) => void (channel === 'stdin' && pod.write('stdout', data)),
    onEnd: () => undefined,
    onDrain: () => undefined,
    onClose: () => undefined,
  })
}

/** Exec is free, attach waits for an approval. */
export async function openHostileBed(
  ground: Ground,
  limits: Partial<StreamLimits> = {},
): Promise<HostileBed> {
  const policies = [
    policy('free', { match: { operations: ['Exec'] } }),
    policy('asks', { ...NEEDS_APPROVAL, match: { operations: ['Attach'] } }),
  ]
  const under = await startGatewayUnderTest(ground, policies, limits)
  const upgraded: Duplex[] = []
  const take = under.cluster.upgrade
  under.cluster.upgrade = async (socket, request, head) => {
    upgraded.push(socket)
    await take(socket, request, head)
    echo(under.cluster.sessions.at(-1) as StreamSession)
  }
  const client = await under.kubectl('ana').dial(CAT, {}, new AbortController().signal)
  const seen = observe(client)
  let echoes = 0

  function left(): object {
    return {
      clients: under.clients.size,
      sessions: under.gateway.active,
      open: [...under.store.sessions.values()].filter(({ end }) => end === null).length,
      upstream: upgraded.filter((socket) => !socket.destroyed).length,
    }
  }

  return {
    under,
    upstream: () => under.cluster.sessions.at(-1) as StreamSession,
    async onlyTheBystander() {
      const token = `still here ${(echoes += 1)}\n`
      client.write('stdin', Buffer.from(token))
      await eventually('an echo', () => seen.text('stdout').endsWith(token))
      const alone = JSON.stringify({ clients: 1, sessions: 1, open: 1, upstream: 1 })
      await eventually('the bystander is alone', () => JSON.stringify(left()) === alone).catch(() =>
        expect(left()).toEqual(JSON.parse(alone)),
      )
    },
    async close() {
      client.abort('test over')
      await under.close()
    },
  }
}

export const EXEC: string = `${POD_PATH}/exec?command=id&stdin=true&stdout=true&stderr=true`
/** Waits for an approval, as only a terminal does. */
export const ATTACH: string = `${POD_PATH}/attach?stdin=true&stdout=true&tty=true`
export const SPDY: readonly string[] = [...TO_SPDY, V4]
export const WEBSOCKET: readonly string[] = [...TO_WEBSOCKET, V5]

export function ask(under: GatewayUnderTest, client: RawClient, wire: 'SPDY' | 'WebSocket'): void {
  const [method, lines] = wire === 'SPDY' ? ['POST', SPDY] : ['GET', WEBSOCKET]
  client.send(signedHead(under, 'ana', `${method} ${EXEC}`, ...lines))
}

export async function switched(client: RawClient): Promise<void> {
  await eventually('101', () => client.received.toString('latin1', 0, 12) === 'HTTP/1.1 101')
}

/** Frames of a client that goes about it as client-go does: 1 error, 3 stdin, 5 stdout, 7 stderr. */
export class SpdyWords {
  readonly #headers = new HeaderBlockEncoder()
  #nextId = 1

  syn(name: StreamName | (string & {})): Uint8Array {
    const block = this.#headers.encode(new Map([['streamtype', name]]))
    const frame = encodeSynStream(this.#nextId, block)
    this.#nextId += 2
    return frame
  }

  all(): Uint8Array {
    return Buffer.concat(['error', 'stdin', 'stdout', 'stderr'].map((name) => this.syn(name)))
  }
}

export const STDIN_ID = 3

export function spdyData(streamId: number, data: Uint8Array): Buffer {
  return Buffer.concat([encodeDataHeader(streamId, data.length, false), data])
}

/** A client's frame with a zero mask, which leaves the payload as it is (RFC 6455 section 5.2). */
export function webSocketFrame(opcode: number, payload: Uint8Array, fin = true): Buffer {
  const first = (fin ? 0x80 : 0) | opcode
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = first
  if (length < 126) head[1] = 0x80 | length
  else if (length < 65_536) {
    head[1] = 0xfe
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 0xff
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

/**
 * The other end of a leg under test: a plain TCP socket that says exactly what
 * the test tells it to, and reads with the naive codec.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

import type { Frame } from '../../../lib/spdy/frame.ts'
import { NaiveCompressor, naiveDecode, naiveEncode } from './naive-codec.ts'

export class RawPeer {
  readonly socket: Socket
  readonly compressor: NaiveCompressor = new NaiveCompressor()
  readonly frames: Frame[] = []
  ended = false
  closed = false
  #rest: Uint8Array = Buffer.alloc(0)
  #waiting: { condition: () => boolean; resolve: () => void }[] = []

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Uint8Array) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      const { frames, length } = naiveDecode(this.#rest)
      this.#rest = this.#rest.subarray(length)
      this.frames.push(...frames)
      this.#changed()
    })
    socket.on('end', () => {
      this.ended = true
      this.#changed()
    })
    socket.on('close', () => {
      this.closed = true
      this.#changed()
    })
    socket.on('error', () => {})
  }

  send(...frames: Frame[]): void {
    this.sendBytes(...frames.map(naiveEncode))
  }

  sendBytes(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  synStream(
    streamId: number,
    streamType: string,
    more: { fin?: boolean; unidirectional?: boolean } = {},
  ): Frame {
    return {
      type: 'SYN_STREAM',
      streamId,
      associatedToStreamId: 0,
      priority: 0,
      fin: false,
      unidirectional: false,
      ...more,
      headerBlock: this.compressor.headers(['streamtype', streamType]),
    }
  }

  /** A stream of port-forward; headers as client-go sends them unless told otherwise. */
  forwardStream(streamId: number, headers: readonly (readonly [string, string])[]): Frame {
    return {
      type: 'SYN_STREAM',
      streamId,
      associatedToStreamId: 0,
      priority: 0,
      fin: false,
      unidirectional: false,
      headerBlock: this.compressor.headers(...headers),
    }
  }

  synReply(streamId: number): Frame {
    return { type: 'SYN_REPLY', streamId, fin: false, headerBlock: this.compressor.headers() }
  }

  /** DATA of one stream, all frames together. */
  text(streamId: number): string {
    return Buffer.concat(
      this.frames.map((frame) =>
        frame.type === 'DATA' && frame.streamId === streamId ? frame.data : Buffer.alloc(0),
      ),
    ).toString()
  }

  /** `TYPE id`, with the text and FIN of DATA and the status of GOAWAY and RST_STREAM. */
  get log(): string[] {
    return this.frames.map((frame) => {
      switch (frame.type) {
        case 'DATA':
          return `DATA ${frame.streamId} "${Buffer.from(frame.data).toString()}"${frame.fin ? ' FIN' : ''}`
        case 'PING':
          return `PING ${frame.id}`
        case 'GOAWAY':
          return `GOAWAY ${frame.lastGoodStreamId} ${frame.status}`
        case 'SETTINGS':
          return 'SETTINGS'
        default:
          return `${frame.type} ${frame.streamId}`
      }
    })
  }

  has(entry: string): boolean {
    return this.log.includes(entry)
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }))
  }

  #changed(): void {
    const ready = this.#waiting.filter(({ condition }) => condition())
    this.#waiting = this.#waiting.filter((waiter) => !ready.includes(waiter))
    for (const { resolve } of ready) resolve()
  }
}

export interface Wire {
  /** For the leg under test. */
  socket: Socket
  peer: RawPeer
  close(): Promise<void>
}

export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}

/** A loopback connection, half-open as Node leaves an upgraded one. */
export async function openWire(): Promise<Wire> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const peerSocket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [socket] = await accepted
  const peer = new RawPeer(peerSocket)
  return {
    socket,
    peer,
    async close() {
      socket.destroy()
      peerSocket.destroy()
      await Promise.all([closed(socket), closed(peerSocket)])
      listener.close()
      await once(listener, 'close')
    },
  }
}

/**
 * The byte stream inside an accepted WebSocket: `SPDY/3.1+portforward.k8s.io`, where binary messages
 * carry SPDY and their boundaries mean nothing.
 *
 * Source: KEP-4006; client-go tools/portforward/tunneling_connection.go.
 */
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'

import type { WebSocket } from 'ws'

import { FORWARD_TUNNEL_PROTOCOL } from '../streams/subprotocol.ts'
import {
  CLOSE_NORMAL,
  CLOSE_POLICY_VIOLATION,
  DEFAULT_ACCEPT_LIMITS,
  type AcceptLimits,
} from './constants.ts'
import { answerHandshake } from './handshake.ts'
import {
  KeepAlive,
  systemClock,
  TOWARDS_KUBECTL,
  type Clock,
  type KeepAliveOptions,
} from './keep-alive.ts'
import { binaryFrameHeader } from './message.ts'

export interface TunnelOptions {
  limits?: Partial<AcceptLimits>
  clock?: Clock
  keepAlive?: Partial<KeepAliveOptions>
}

interface Piece {
  chunk: Uint8Array
}

/** One message; gorilla/websocket and ours read any size, what stands between may not. */
const MAX_TUNNEL_MESSAGE_BYTES = 64 * 1024

/**
 * Written straight to the socket beneath `ws`, as leg.ts does and for its reasons: what the SPDY leg
 * writes in one turn leaves as few messages, none of it copied.
 */
export class WebSocketTunnel extends Duplex {
  readonly #ws: WebSocket
  readonly #socket: Duplex
  readonly #clock: Clock
  readonly #closeGraceMs: number
  readonly #keepAlive: KeepAlive

  constructor(ws: WebSocket, socket: Duplex, options: TunnelOptions & { limits: AcceptLimits }) {
    super({ writableHighWaterMark: options.limits.highWaterBytes, decodeStrings: true })
    this.#ws = ws
    this.#socket = socket
    this.#clock = options.clock ?? systemClock
    this.#closeGraceMs = options.limits.closeGraceMs
    this.#keepAlive = new KeepAlive(
      {
        ping: () => this.#control(() => ws.ping()),
        pong: () => this.#control(() => ws.pong()),
        bytesRead: () =>
          'bytesRead' in socket && typeof socket.bytesRead === 'number' ? socket.bytesRead : 0,
        giveUp: (detail) => this.destroy(new Error(detail)),
      },
      this.#clock,
      { ...TOWARDS_KUBECTL, ...options.keepAlive },
    )
    if ('setNoDelay' in socket && typeof socket.setNoDelay === 'function') socket.setNoDelay(true)
    // Whoever takes the tunnel over listens in the same turn; until then an error must not end the process.
    this.on('error', () => undefined)
    this.#listen()
    ws.pause()
  }

  override _read(): void {
    this.#keepAlive.resume()
    this.#ws.resume()
  }

  override _write(
    chunk: Uint8Array,
    _encoding: unknown,
    done: (error?: Error | null) => void,
  ): void {
    this._writev([{ chunk }], done)
  }

  override _writev(pieces: Piece[], done: (error?: Error | null) => void): void {
    if (this.#ws.readyState !== this.#ws.OPEN) {
      done(new Error('the WebSocket is closed'))
      return
    }
    let message: Uint8Array[] = []
    let length = 0
    let total = 0
    for (const { chunk } of pieces) total += chunk.length
    if (total === 0) {
      done()
      return
    }
    this.#socket.cork()
    const flush = (): void => {
      this.#socket.write(binaryFrameHeader(length))
      total -= length
      for (const part of message.slice(0, -1)) this.#socket.write(part)
      // The last write of the last message tells that all has gone to the kernel.
      this.#socket.write(message.at(-1) ?? NOTHING, total === 0 ? done : undefined)
      message = []
      length = 0
    }
    for (const { chunk } of pieces) {
      for (let at = 0; at < chunk.length;) {
        const part = chunk.subarray(at, at + MAX_TUNNEL_MESSAGE_BYTES - length)
        message.push(part)
        length += part.length
        at += part.length
        if (length === MAX_TUNNEL_MESSAGE_BYTES) flush()
      }
    }
    if (length > 0) flush()
    this.#socket.uncork()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#control(() => this.#ws.close(CLOSE_NORMAL))
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#keepAlive.stop()
    if (error !== null || this.#ws.readyState === this.#ws.OPEN) this.#ws.terminate()
    else if (this.#ws.readyState !== this.#ws.CLOSED) {
      // Our close frame is on its way: a moment for it, and for the peer's.
      const cancel = this.#clock.after(this.#closeGraceMs, () => this.#ws.terminate())
      this.#ws.once('close', cancel)
      this.#ws.resume()
    }
    done(error)
  }

  #listen(): void {
    const ws = this.#ws
    ws.on('message', (message, isBinary) => this.#onMessage(message, isBinary))
    ws.on('ping', () => this.#keepAlive.heard())
    ws.on('pong', () => this.#keepAlive.heard())
    ws.on('error', (error) => this.destroy(error))
    ws.on('close', (code) => {
      this.#keepAlive.stop()
      if (code === CLOSE_NORMAL) this.push(null)
      else this.destroy(new Error(`the WebSocket was closed with code ${code}`))
    })
  }

  #onMessage(message: unknown, isBinary: boolean): void {
    this.#keepAlive.heard()
    if (this.destroyed || this.readableEnded) return
    if (!isBinary || !Buffer.isBuffer(message)) {
      this.#ws.close(CLOSE_POLICY_VIOLATION)
      this.destroy(new Error('a text message in the tunnel'))
      return
    }
    if (this.push(message)) return
    this.#keepAlive.pause()
    this.#ws.pause()
  }

  #control(send: () => void): void {
    if (this.#ws.readyState === this.#ws.OPEN) send()
  }
}

const NOTHING = new Uint8Array(0)

/**
 * Answers 101 with the tunnel's subprotocol. Give the tunnel an owner in the same turn.
 *
 * @throws GatewayError when the client has gone or its request is no WebSocket.
 */
export function acceptTunnel(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: TunnelOptions = {},
): Promise<WebSocketTunnel> {
  const limits = { ...DEFAULT_ACCEPT_LIMITS, ...options.limits }
  return answerHandshake(request, socket, head, {
    protocol: FORWARD_TUNNEL_PROTOCOL,
    limits,
    open: (ws) => new WebSocketTunnel(ws, socket, { ...options, limits }),
  })
}

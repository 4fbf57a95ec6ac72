/**
 * An accepted WebSocket that carries messages one by one: what the legs for logs and for the old
 * port-forward share. Writes like leg.ts, straight to the socket, corked once per turn.
 */
import type { Duplex } from 'node:stream'

import type { WebSocket } from 'ws'

import { errorText } from '../errors/gateway-error.ts'
import type { CloseInfo } from '../streams/session.ts'
import {
  CLOSE_NORMAL,
  CLOSE_POLICY_VIOLATION,
  DEFAULT_FINISH_TIMEOUT_MS,
  MAX_UNWRITTEN_MESSAGES,
  type AcceptLimits,
} from './constants.ts'
import {
  KeepAlive,
  systemClock,
  TOWARDS_KUBECTL,
  type Clock,
  type KeepAliveOptions,
} from './keep-alive.ts'
import { binaryFrameHeader, textFrameHeader } from './message.ts'

export interface WireOptions {
  limits: AcceptLimits
  clock?: Clock | undefined
  keepAlive?: Partial<KeepAliveOptions> | undefined
  /** Whether the peer may send text messages, binary ones, or whatever it likes because nobody reads them. */
  receives: 'text' | 'binary' | 'anything'
}

export interface WireEvents {
  onMessage(message: Buffer): void
  onDrain(): void
  /** Once. */
  onClose(info: CloseInfo): void
}

export class ServerWire {
  readonly #ws: WebSocket
  readonly #socket: Duplex
  readonly #options: WireOptions
  readonly #events: WireEvents
  readonly #clock: Clock
  readonly #keepAlive: KeepAlive
  readonly #closed = Promise.withResolvers<void>()
  #state: 'open' | 'finishing' | 'failing' | 'closed' = 'open'
  #ending: CloseInfo | undefined
  #blocked = false
  #corked = false
  #unwritten = 0
  #cancelTimer: () => void = () => {}

  constructor(ws: WebSocket, socket: Duplex, options: WireOptions, events: WireEvents) {
    this.#ws = ws
    this.#socket = socket
    this.#options = options
    this.#events = events
    this.#clock = options.clock ?? systemClock
    this.#keepAlive = new KeepAlive(
      {
        ping: () => this.#control(() => ws.ping()),
        pong: () => this.#control(() => ws.pong()),
        bytesRead: () =>
          'bytesRead' in socket && typeof socket.bytesRead === 'number' ? socket.bytesRead : 0,
        giveUp: (detail) => this.#terminate({ kind: 'lost', detail }),
      },
      this.#clock,
      { ...TOWARDS_KUBECTL, ...options.keepAlive },
    )
    this.#keepAlive.resume()
    ws.on('message', (message, isBinary) => this.#onMessage(message, isBinary))
    ws.on('ping', () => this.#keepAlive.heard())
    ws.on('pong', () => this.#keepAlive.heard())
    ws.on('error', (error) => this.violation(errorText(error)))
    ws.on('close', (code) => this.#onClose(code))
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Bytes not yet handed to the kernel. */
  get bufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#socket.writableLength
  }

  /** One message out of `parts`. False: wait for `onDrain`. */
  send(kind: 'text' | 'binary', ...parts: Uint8Array[]): boolean {
    if (this.#state !== 'open' || this.#ws.readyState !== this.#ws.OPEN) return true
    this.#cork()
    let length = 0
    for (const part of parts) length += part.length
    const header = kind === 'text' ? textFrameHeader(length) : binaryFrameHeader(length)
    const pieces = [header, ...parts.filter((part) => part.length > 0)]
    const last = pieces.pop()
    for (const piece of pieces) this.#socket.write(piece)
    this.#unwritten += 1
    if (last !== undefined) this.#socket.write(last, this.#onWritten)
    const isCrowded = this.#unwritten > MAX_UNWRITTEN_MESSAGES
    if (!isCrowded && this.#socket.writableLength < this.#options.limits.highWaterBytes) return true
    this.#blocked = true
    return false
  }

  pause(): void {
    if (this.#state !== 'open') return
    this.#keepAlive.pause()
    this.#ws.pause()
  }

  resume(): void {
    if (this.#state === 'closed') return
    this.#keepAlive.resume()
    this.#ws.resume()
  }

  /** Close code 1000 behind what was sent; resolves when the connection is gone. */
  finish(timeoutMs: number = DEFAULT_FINISH_TIMEOUT_MS): Promise<void> {
    if (this.#state !== 'open') return this.closed
    this.resume()
    this.#state = 'finishing'
    this.#ending = { kind: 'local', detail: 'finished' }
    this.#after(timeoutMs, () => this.#ws.terminate())
    this.#closeWhenFlushed()
    return this.closed
  }

  abort(detail: string): void {
    this.#terminate({ kind: 'local', detail })
  }

  /** The peer broke the protocol: tell it, and do not wait for it to agree. */
  violation(detail: string): void {
    if (this.#state === 'failing' || this.#state === 'closed') return
    this.#ending ??= { kind: 'lost', detail }
    this.resume()
    this.#state = 'failing'
    this.#ws.close(CLOSE_POLICY_VIOLATION)
    this.#after(this.#options.limits.closeGraceMs, () => this.#ws.terminate())
  }

  #terminate(info: CloseInfo): void {
    this.#ending ??= info
    if (this.#state !== 'closed') this.#state = 'failing'
    this.#ws.terminate()
  }

  #onMessage(message: unknown, isBinary: boolean): void {
    this.#keepAlive.heard()
    const { receives } = this.#options
    if (this.#state !== 'open' || receives === 'anything') return
    if (!Buffer.isBuffer(message) || isBinary !== (receives === 'binary')) {
      this.violation(isBinary ? 'a binary message' : 'a text message')
      return
    }
    this.#events.onMessage(message)
  }

  #onClose(code: number): void {
    this.#state = 'closed'
    this.#keepAlive.stop()
    this.#cancelTimer()
    this.#closed.resolve()
    const isClean = code === CLOSE_NORMAL
    this.#events.onClose(
      this.#ending ?? { kind: isClean ? 'clean' : 'lost', detail: `closed with code ${code}` },
    )
  }

  #after(ms: number, run: () => void): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#clock.after(ms, run)
  }

  #control(send: () => void): void {
    if (this.#ws.readyState === this.#ws.OPEN) send()
  }

  #cork(): void {
    if (this.#corked) return
    this.#corked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#socket.uncork()
    })
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error !== undefined && error !== null) return
    this.#unwritten -= 1
    if (this.#state === 'finishing') this.#closeWhenFlushed()
    if (!this.#blocked || this.#state !== 'open') return
    if (this.#socket.writableLength > this.#options.limits.lowWaterBytes) return
    if (this.#unwritten > MAX_UNWRITTEN_MESSAGES / 2) return
    this.#blocked = false
    this.#events.onDrain()
  }

  #closeWhenFlushed(): void {
    if (this.#unwritten === 0) this.#ws.close(CLOSE_NORMAL)
  }
}

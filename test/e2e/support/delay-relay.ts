/**
 * A TCP relay that hands on every byte a fixed time after it came, as a long road does. It holds a
 * bounded number of bytes and then does not read, so that whoever sends feels the slow end.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface DelayRelay {
  readonly port: number
  /** Connections that are open now. */
  readonly active: number
  close(): Promise<void>
}

export interface DelayRelayOptions {
  /** Where to listen. */
  host: string
  /** On 127.0.0.1. */
  targetPort: number
  /** Each way; the round trip takes twice as long. */
  delayMs: number
}

/** More than 5 Mbit/s times 80 ms, and little enough to be felt at the other end. */
const MAX_HELD_BYTES = 128 * 1024

interface Parcel {
  dueMs: number
  /** Undefined is the end of the bytes. */
  data: Buffer | undefined
}

/** Carries what `from` says to `to`, late; the end of the bytes, too. */
function carry(from: Socket, to: Socket, delayMs: number): void {
  const road: Parcel[] = []
  let held = 0
  let isBlocked = false
  let timer: NodeJS.Timeout | undefined

  function arrive(): void {
    timer = undefined
    while (!isBlocked && road[0] !== undefined && road[0].dueMs <= performance.now()) {
      const { data } = road.shift() as Parcel
      if (data === undefined) to.end()
      else {
        held -= data.length
        isBlocked = !to.write(data)
      }
    }
    if (held < MAX_HELD_BYTES && !from.destroyed) from.resume()
    const next = road[0]
    if (next === undefined || isBlocked) return
    timer ??= setTimeout(arrive, Math.max(0, next.dueMs - performance.now()))
  }

  function depart(data: Buffer | undefined): void {
    road.push({ dueMs: performance.now() + delayMs, data })
    if (data !== undefined) {
      held += data.length
      if (held >= MAX_HELD_BYTES) from.pause()
    }
    arrive()
  }

  from.on('data', (data: Buffer) => depart(data))
  from.on('end', () => depart(undefined))
  to.on('drain', () => {
    isBlocked = false
    arrive()
  })
  // Broken, not ended: nothing of what is on the road counts any more.
  from.on('close', (isBroken) => {
    if (isBroken) to.destroy()
  })
  to.on('close', () => {
    clearTimeout(timer)
    road.length = 0
    from.destroy()
  })
}

export async function startDelayRelay(options: DelayRelayOptions): Promise<DelayRelay> {
  const open = new Set<Socket>()
  const note = (socket: Socket): void => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: options.targetPort, host: '127.0.0.1', allowHalfOpen: true })
    far.setNoDelay(true)
    note(near)
    note(far)
    carry(near, far, options.delayMs)
    carry(far, near, options.delayMs)
  })
  server.listen(0, options.host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get active() {
      return open.size
    },
    async close() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

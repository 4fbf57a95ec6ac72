/**
 * A terminal that waits for an approval.
 *
 * The stream is open and nothing has been dialled yet. What is typed meanwhile
 * is dropped (it was typed before anybody consented), Ctrl-C or closing the
 * terminal gives up, and window sizes are kept for the session that may follow.
 */
import type { CloseInfo, StreamHandlers, StreamSession } from '../streams/session.ts'

const CTRL_C = 0x03
/** Some hundred window changes; more while waiting is no terminal. */
const MAX_RESIZE_BYTES = 16 * 1024
/** What is typed or pasted while the pod is being dialled; above it the terminal has to wait. */
const MAX_TYPED_BYTES = 64 * 1024

export interface WaitingRoom {
  /** Aborts when the person gives up or vanishes; the reason says which. */
  readonly left: AbortSignal
  /** True when the connection is gone, so that nothing can be said any more. */
  readonly gone: boolean
  say(line: string): void
  /** The wait is over: what is typed from now on is for the session. */
  keep(): void
  /** Hands the stream over to the session; what came since is delivered from here on. */
  enter(handlers: StreamHandlers): void
}

export function openWaitingRoom(client: StreamSession): WaitingRoom {
  const left = new AbortController()
  const resizes: Uint8Array[] = []
  const typed: Uint8Array[] = []
  let resizeBytes = 0
  let typedBytes = 0
  let isKeeping = false
  let isInputOver = false
  let closed: CloseInfo | undefined
  let next: StreamHandlers | undefined

  function stdin(data: Uint8Array): void {
    if (!isKeeping) {
      if (data.includes(CTRL_C)) left.abort('cancelled')
      return
    }
    typed.push(data)
    typedBytes += data.length
    if (typedBytes > MAX_TYPED_BYTES) client.pause()
  }

  const waiting: StreamHandlers = {
    onData(channel, data) {
      if (channel === 'stdin') stdin(data)
      if (channel !== 'resize') return
      resizeBytes += data.length
      if (resizeBytes > MAX_RESIZE_BYTES) client.abort('too many window changes while waiting')
      else resizes.push(data)
    },
    onEnd(channel) {
      if (channel === 'stdin') isInputOver = true
    },
    onDrain: () => undefined,
    onClose(info) {
      closed = info
      left.abort('gone')
    },
  }
  const current = (): StreamHandlers => next ?? waiting

  client.start({
    onData: (channel, data) => current().onData(channel, data),
    onEnd: (channel) => current().onEnd(channel),
    onDrain: () => current().onDrain(),
    onClose: (info) => current().onClose(info),
  })

  return {
    left: left.signal,
    get gone() {
      return closed !== undefined
    },
    say(line) {
      client.write('stdout', Buffer.from(`[podgate] ${line}\r\n`))
    },
    keep() {
      isKeeping = true
    },
    enter(handlers) {
      next = handlers
      for (const data of resizes) handlers.onData('resize', data)
      if (typedBytes > MAX_TYPED_BYTES) client.resume()
      for (const data of typed) handlers.onData('stdin', data)
      if (isInputOver) handlers.onEnd('stdin')
      if (closed !== undefined) handlers.onClose(closed)
    },
  }
}

/** A StreamSession held in memory: what the other side would send is called by the test. */
import type { StreamName } from '../../lib/streams/channel.ts'
import type { CloseInfo, StreamHandlers, StreamSession } from '../../lib/streams/session.ts'

export interface FakeSession extends StreamSession {
  /** Everything that happened on this leg, in order, as readable words. */
  readonly log: string[]
  readonly written: Record<string, string>
  handlers: StreamHandlers | undefined
  /** Bytes `write` accepts before it returns false. */
  room: number
  buffered: number
  paused: boolean
  send(channel: StreamName, text: string): void
  drain(): void
  closeFromPeer(info: CloseInfo): void
}

export function fakeSession(protocol = 'WebSocket v5.channel.k8s.io'): FakeSession {
  const log: string[] = []
  const written: Record<string, string> = {}
  let closed = false
  const close = (info: CloseInfo): void => {
    if (closed) return
    closed = true
    session.handlers?.onClose(info)
  }
  const session: FakeSession = {
    protocol,
    canHalfClose: true,
    log,
    written,
    handlers: undefined,
    room: Infinity,
    buffered: 0,
    paused: false,
    get bufferedBytes() {
      return session.buffered
    },
    start(handlers) {
      session.handlers = handlers
    },
    write(channel, data) {
      const text = Buffer.from(data).toString('latin1')
      written[channel] = (written[channel] ?? '') + text
      log.push(`write ${channel} ${text}`)
      session.room -= data.length
      return session.room > 0
    },
    end(channel) {
      log.push(`end ${channel}`)
    },
    pause() {
      session.paused = true
    },
    resume() {
      session.paused = false
    },
    async finish(status) {
      log.push(`finish ${Buffer.from(status).toString()}`)
      close({ kind: 'local', detail: 'finished' })
    },
    abort(detail) {
      log.push('abort')
      close({ kind: 'local', detail })
    },
    send(channel, text) {
      session.handlers?.onData(channel, Buffer.from(text, 'latin1'))
    },
    drain() {
      session.buffered = 0
      session.room = Infinity
      session.handlers?.onDrain()
    },
    closeFromPeer: close,
  }
  return session
}

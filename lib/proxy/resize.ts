/**
 * The size of the person's terminal on its way to the pod.
 *
 * A window that is dragged, or a hostile client, sends sizes without end; only the newest matters.
 * The first goes at once, then at most one every 50 ms, and the last always goes. What is sent on
 * is written anew, so that the pod and the transcript see sizes and nothing else. After something
 * that is no size the rest is ignored, as the API server does (client-go remotecommand v3.go,
 * handleResizes), and the session goes on. PURE.
 */
import type { Timers } from '../recording/timers.ts'
import { createTerminalSizeParser, encodeTerminalSize } from '../streams/terminal-size.ts'

const PACE_MS = 50

export interface ResizeRelay {
  /** What the client sent, cut anywhere. */
  push(chunk: Uint8Array): void
  /** Nothing is sent on any more. */
  stop(): void
}

/** `send` gets one JSON document, `{"Width":80,"Height":24}` and a line break. */
export function createResizeRelay(
  send: (document: Uint8Array) => void,
  timers: Pick<Timers, 'monotonicMs' | 'after'>,
): ResizeRelay {
  const parser = createTerminalSizeParser()
  let waiting: Uint8Array | undefined
  let cancel: (() => void) | undefined
  let sentMs = Number.NEGATIVE_INFINITY
  let stopped = false

  function sendNow(document: Uint8Array): void {
    waiting = undefined
    sentMs = timers.monotonicMs()
    send(document)
  }

  return {
    push(chunk) {
      if (stopped) return
      const newest = parser.push(chunk).sizes.at(-1)
      if (newest === undefined) return
      const document = encodeTerminalSize(newest)
      const restMs = sentMs + PACE_MS - timers.monotonicMs()
      if (restMs <= 0 && cancel === undefined) {
        sendNow(document)
        return
      }
      waiting = document
      cancel ??= timers.after(restMs, () => {
        cancel = undefined
        if (waiting !== undefined) sendNow(waiting)
      })
    },
    stop() {
      stopped = true
      waiting = undefined
      cancel?.()
      cancel = undefined
    },
  }
}

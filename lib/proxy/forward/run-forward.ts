/**
 * One port-forward from its open legs to its terminal record.
 *
 * Each TCP connection is decided, told to the transcript and dialled on its own; what happens to one
 * never touches another. kubectl ends all of its connections on the first word of an error on any of
 * them (client-go tools/portforward), so words are told only when no other connection is open.
 */
import type { GatewayError } from '../../errors/gateway-error.ts'
import type { SessionEnd, SessionOutcome } from '../../recording/session-document.ts'
import { systemTimers } from '../../recording/timers.ts'
import type { RecordingHooks } from '../../recording/recorder.ts'
import type {
  ForwardConnection,
  ForwardServerSession,
  ForwardUpstream,
} from '../../streams/forward.ts'
import type { CloseInfo } from '../../streams/session.ts'
import { policyName } from '../../policy/deny-message.ts'
import type { OpenedSession } from '../conduct-session.ts'
import { statusOf } from '../status-of.ts'
import { Link } from './link.ts'
import type { PortGate } from './port-gate.ts'
import { ForwardTranscript } from './transcript.ts'

export interface ForwardOptions {
  client: ForwardServerSession
  upstream: ForwardUpstream
  session: OpenedSession
  gate: PortGate
}

export interface RunningForward {
  readonly hooks: RecordingHooks
  /** Ends the session with words. */
  fail(error: GatewayError, outcome: SessionOutcome): void
  run(): Promise<SessionEnd>
}

interface Ending {
  outcome: SessionOutcome
  message?: string
  /** What the connections that are open are told. */
  words?: string
}

class ForwardRun implements RunningForward {
  readonly hooks: RecordingHooks
  readonly #options: ForwardOptions
  readonly #transcript: ForwardTranscript
  readonly #links = new Map<number, Link>()
  /** Decided or dialled at this moment. */
  readonly #opening = new Set<number>()
  readonly #ended = Promise.withResolvers<Ending>()
  #connections = 0
  #hasRoom = true
  #up = 0
  #down = 0

  constructor(options: ForwardOptions) {
    this.#options = options
    const { session } = options
    const { content } = session.admission.decision.obligations
    this.#transcript = new ForwardTranscript({
      recording: session.recording,
      content,
      elapsedMs: () => session.elapsedMs(),
      timers: systemTimers,
      onStored: ({ connection, direction, data }) =>
        this.#links.get(connection)?.pass(direction, data),
      onRelief: () => {
        for (const link of this.#links.values()) link.relieve()
      },
    })
    this.hooks = {
      onRelease: (entries) => this.#transcript.onRelease(entries),
      onFailure: (error) => this.fail(error, 'StoreLost'),
    }
  }

  fail(error: GatewayError, outcome: SessionOutcome): void {
    this.#ended.resolve({ outcome, message: error.message, words: error.toStatus().message ?? '' })
  }

  async run(): Promise<SessionEnd> {
    const { client, upstream } = this.#options
    client.start({
      onConnection: (connection) => void this.#serve(connection),
      onClose: (info) => this.#clientOver(info),
    })
    const ending = await this.#ended.promise
    for (const link of this.#links.values()) link.cut(ending.outcome, ending.words)
    upstream.abort('the session is over')
    await client.finish()
    this.#transcript.stop()
    const { outcome, message } = ending
    return {
      outcome,
      ...(message === undefined ? {} : { message }),
      bytes: { stdin: this.#up, stdout: this.#down, stderr: 0 },
      masked: {},
      connections: this.#connections,
      endedAt: new Date(),
    }
  }

  #clientOver({ kind, detail }: CloseInfo): void {
    // Ctrl-C is how a port-forward ends; there is nothing it could have left undone.
    this.#ended.resolve(
      kind === 'lost'
        ? { outcome: 'ClientLost', message: `the client went away (${detail})` }
        : { outcome: 'Completed' },
    )
  }

  /** Never rejects. */
  async #serve(connection: ForwardConnection): Promise<void> {
    const { id, port } = connection
    this.#connections += 1
    this.#opening.add(id)
    try {
      const { policies } = await this.#options.gate.pass(port)
      await this.#transcript.tell({
        type: 'connectionOpened',
        connection: id,
        port,
        policies: policies.map(policyName),
      })
      this.#join(connection, await this.#options.upstream.open(port))
    } catch (error) {
      const { message = '' } = statusOf(error, `connecting to port ${port}`)
      connection.fail(this.#wordsFor(id, message))
      void this.#transcript.tell({ type: 'connectionRefused', connection: id, port, message })
    } finally {
      this.#opening.delete(id)
    }
  }

  #join(client: ForwardConnection, pod: ForwardConnection): void {
    const link = new Link({
      client,
      pod,
      transcript: this.#transcript,
      wordsFor: (message) => this.#wordsFor(client.id, message),
      onWire: (hasRoom) => this.#onWire(hasRoom),
      onFull: () => this.#holdPods('record'),
      onOver: (reason) => this.#over(client, reason),
    })
    this.#links.set(client.id, link)
    if (!this.#hasRoom) link.holdPod('wire')
    link.start()
  }

  #onWire(hasRoom: boolean): void {
    if (hasRoom === this.#hasRoom) return
    this.#hasRoom = hasRoom
    if (!hasRoom) this.#holdPods('wire')
    else for (const link of this.#links.values()) link.releasePod()
  }

  /** They share one wire and one transcript: a chunk more from each would be no bound at all. */
  #holdPods(reason: 'wire' | 'record'): void {
    for (const link of this.#links.values()) link.holdPod(reason)
  }

  #over({ id, port }: ForwardConnection, reason: string): void {
    this.#links.delete(id)
    const digests = this.#transcript.digestsOf(id)
    const up = digests.up.value()
    const down = digests.down.value()
    this.#up += up.bytes
    this.#down += down.bytes
    this.#transcript.forget(id)
    void this.#transcript.tell({
      type: 'connectionClosed',
      connection: id,
      port,
      reason,
      up,
      down,
    })
  }

  #wordsFor(id: number, message: string): string | undefined {
    const others = (ids: Iterable<number>): boolean => [...ids].some((other) => other !== id)
    return others(this.#links.keys()) || others(this.#opening) ? undefined : message
  }
}

export function createForward(options: ForwardOptions): RunningForward {
  return new ForwardRun(options)
}

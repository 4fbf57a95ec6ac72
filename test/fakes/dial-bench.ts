/** A dialler in front of a scripted API server, and what each test of it starts from. */
import type { Status } from '../../lib/errors/status.ts'
import {
  createExecDialer,
  type ExecDialer,
  type ExecTarget,
  type Wire,
} from '../../lib/kube/dial-exec.ts'
import type { StreamSession } from '../../lib/streams/session.ts'
import { DEFAULT_STREAM_LIMITS } from '../../lib/streams/stream-limits.ts'
import {
  accept,
  answer,
  startScriptedApiServer,
  type Answer,
  type ScriptedApiServer,
  type TestPki,
} from './scripted-api-server.ts'

export const TARGET: ExecTarget = {
  namespace: 'shop',
  pod: 'web-0.a',
  subresource: 'exec',
  container: 'main',
  command: ['sh', '-c', 'echo "a&b=c" ü'],
  stdin: true,
  stdout: true,
  stderr: true,
  tty: false,
}
export const NO_SIGNAL: AbortSignal = new AbortController().signal

export function status(code: number, reason: string, message: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    code,
  }
}

export const FORBIDDEN: Answer = answer(403, status(403, 'Forbidden', 'cannot get pods/exec'))

export const NOT_FOUND: Answer = answer(404, status(404, 'NotFound', 'pods "web-0.a" not found'))

export interface Script {
  websocket: Answer | 'accept'
  spdy: Answer | 'accept'
}

export interface DialBench {
  server: ScriptedApiServer
  dialer: ExecDialer
  dial(
    target?: ExecTarget,
    headers?: Record<string, string | string[]>,
    signal?: AbortSignal,
  ): Promise<StreamSession>
  /** The wires tried so far. */
  wires(): string[]
  advance(ms: number): void
}

export interface DialBenches {
  start(script: Script, first?: Wire): Promise<DialBench>
  /** Ends every server and leg started here. */
  close(): Promise<void>
}

export function createDialBenches(pki: () => TestPki): DialBenches {
  const servers: ScriptedApiServer[] = []
  const legs: StreamSession[] = []
  return {
    async start(script, first = 'WebSocket') {
      const accepting = accept(() => server.sessions)
      const server: ScriptedApiServer = await startScriptedApiServer(pki(), {
        websocket: script.websocket === 'accept' ? accepting : script.websocket,
        spdy: script.spdy === 'accept' ? accepting : script.spdy,
      })
      servers.push(server)
      let now = 0
      const dialer = createExecDialer({
        endpoint: server.endpoint,
        first,
        limits: { ...DEFAULT_STREAM_LIMITS, handshakeMs: 5000 },
        now: () => now,
      })
      return {
        server,
        dialer,
        async dial(target = TARGET, headers = {}, signal = NO_SIGNAL) {
          const leg = await dialer.dial(target, headers, signal)
          legs.push(leg)
          return leg
        },
        wires: () => server.requests.map(({ wire }) => wire),
        advance(ms) {
          now += ms
        },
      }
    },
    async close() {
      for (const leg of legs.splice(0)) leg.abort('test over')
      for (const server of servers.splice(0)) await server.close()
    },
  }
}

/** The surroundings of a command, in memory: what it wrote, and a clock that jumps when it sleeps. */
import { Readable, Writable } from 'node:stream'

import type { CliIo } from '../../lib/cli/io.ts'

export interface FakeIo extends CliIo {
  /** Everything written so far, as one text. */
  out(): string
  err(): string
  /** Each write with the moment of it, in milliseconds since the start. */
  readonly writes: { atMs: number; to: 'stdout' | 'stderr'; text: string }[]
  readonly sleeps: number[]
  /** Presses Ctrl-C. */
  interrupt(): void
}

export interface FakeIoOptions {
  startMs?: number
  env?: Record<string, string | undefined>
  terminal?: { columns: number; rows: number }
  /** How long each write to stdout takes its reader. */
  writeMs?: number
}

export function createFakeIo(options: FakeIoOptions = {}): FakeIo {
  const startMs = options.startMs ?? Date.UTC(2026, 10, 22, 10, 0, 0)
  let nowMs = startMs
  const writes: FakeIo['writes'] = []
  const sleeps: number[] = []
  const listeners = new Set<() => void>()
  const collect = (to: 'stdout' | 'stderr'): Writable =>
    Object.assign(
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          writes.push({ atMs: nowMs - startMs, to, text: chunk.toString('utf8') })
          if (to === 'stdout') nowMs += options.writeMs ?? 0
          done()
        },
      }),
      options.terminal === undefined ? {} : { isTTY: true, ...options.terminal },
    )
  const textOf = (to: string): string =>
    writes
      .filter((write) => write.to === to)
      .map((write) => write.text)
      .join('')
  return {
    stdin: Readable.from([]),
    stdout: collect('stdout'),
    stderr: collect('stderr'),
    env: options.env ?? {},
    now: () => nowMs,
    sleep: (ms, signal) => {
      if (signal?.aborted !== true) {
        sleeps.push(ms)
        nowMs += ms
      }
      return Promise.resolve()
    },
    onInterrupt: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    out: () => textOf('stdout'),
    err: () => textOf('stderr'),
    writes,
    sleeps,
    interrupt: () => {
      for (const listener of listeners) listener()
    },
  }
}

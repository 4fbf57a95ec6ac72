/** Which input runs now, in a file: it is still there when the process that ran it is not. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'

const HEADER_BYTES = 8

export interface Journal {
  note(input: Uint8Array): void
  close(): void
}

export function openJournal(path: string): Journal {
  const file = openSync(path, 'w')
  let begun = 0
  return {
    note(input) {
      begun += 1
      const entry = Buffer.alloc(HEADER_BYTES + input.length)
      entry.writeUInt32BE(begun, 0)
      entry.writeUInt32BE(input.length, 4)
      entry.set(input, HEADER_BYTES)
      writeSync(file, entry, 0, entry.length, 0)
    },
    close() {
      closeSync(file)
    },
  }
}

/** `begun` is 0 before the first input. */
export function readJournal(path: string): { begun: number; latest: Uint8Array } {
  const entry = readFileSync(path)
  if (entry.length < HEADER_BYTES) return { begun: 0, latest: Buffer.alloc(0) }
  const latest = entry.subarray(HEADER_BYTES, HEADER_BYTES + entry.readUInt32BE(4))
  return { begun: entry.readUInt32BE(0), latest }
}

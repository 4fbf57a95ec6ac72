/** A client's end of a WebSocket, without a network: frames as bytes, and a socket to feed them to. */
import type { IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'

import * as fc from 'fast-check'

/** A socket that is fed by the test, and takes all that is written to it. */
export class Wire extends Duplex {
  taken = 0

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken += chunk.length
    done()
  }
}

export function upgradeRequest(protocol: string): IncomingMessage {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-protocol': protocol,
  }
  return { method: 'GET', url: '/', headers } as unknown as IncomingMessage
}

export interface ClientFrame {
  first: number
  masked: number
  payload: Uint8Array
}

export function clientFrame({ first, masked, payload }: ClientFrame): Buffer {
  const mask = [1, 2, 3, 4]
  const length =
    payload.length <= 125 ? [payload.length] : [126, payload.length >> 8, payload.length & 255]
  length[0] = (length[0] ?? 0) | masked
  const body = payload.map((byte, index) => byte ^ (masked === 0 ? 0 : (mask[index % 4] ?? 0)))
  return Buffer.from([first, ...length, ...(masked === 0 ? [] : mask), ...body])
}

const FINAL = 0x80
/** Mostly a whole binary message. */
export const opcode: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(FINAL | 2) },
  { weight: 3, arbitrary: fc.constantFrom(2, 0, FINAL, FINAL | 9, FINAL | 10) },
  { weight: 1, arbitrary: fc.constantFrom(FINAL | 1, FINAL | 8, FINAL | 3, 0xc2, 9) },
)

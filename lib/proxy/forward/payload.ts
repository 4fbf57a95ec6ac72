/**
 * Bytes of one forwarded connection as an entry of the transcript (`content: Full`). PURE.
 *
 *   +-----------+---------------------+-------------------+
 *   | direction | connection, u32 big | bytes; none: the  |
 *   | u8 1 or 2 | endian              | side sends no more|
 *   +-----------+---------------------+-------------------+
 */

/** `up`: from the client to the pod. */
export type Direction = 'up' | 'down'

const HEAD_BYTES = 5
const UP = 1
const DOWN = 2

export interface Payload {
  direction: Direction
  connection: number
  data: Uint8Array
}

export function encodePayload({ direction, connection, data }: Payload): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + data.length)
  bytes.writeUInt8(direction === 'up' ? UP : DOWN, 0)
  bytes.writeUInt32BE(connection, 1)
  bytes.set(data, HEAD_BYTES)
  return bytes
}

/** The data are a view of `bytes`. Undefined for what this version does not write. */
export function decodePayload(bytes: Uint8Array): Payload | undefined {
  if (bytes.length < HEAD_BYTES || (bytes[0] !== UP && bytes[0] !== DOWN)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return {
    direction: bytes[0] === UP ? 'up' : 'down',
    connection: view.getUint32(1),
    data: bytes.subarray(HEAD_BYTES),
  }
}

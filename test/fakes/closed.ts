import type { Socket } from 'node:net'

/** However it closes: `once` of node:events would reject for one that is reset. */
export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

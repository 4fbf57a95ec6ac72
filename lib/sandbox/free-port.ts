/**
 * Ports that stay the same while the gateway is stopped and started. They are chosen below the
 * range of outgoing connections (32768 and up on Linux), so that none of these takes one meanwhile,
 * and above those of local clusters.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const FIRST = 25_000
const LAST = 32_000
const ATTEMPTS = 100

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let attempt = 0; attempt < ATTEMPTS && ports.size < count; attempt += 1) {
    const port = randomInt(FIRST, LAST)
    if (!ports.has(port) && (await canListen(port))) ports.add(port)
  }
  if (ports.size < count) {
    throw new Error(`no free port of 127.0.0.1 was found between ${FIRST} and ${LAST}`)
  }
  return [...ports]
}

function canListen(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      server.close(() => resolve(true))
    })
  })
}

/** HTTP servers on loopback that hand over their upgrades; `close` ends them and every socket. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'

export class UpgradeServers {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Duplex>()

  /** Starts one; resolves with its port. */
  async listen(
    onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
  ): Promise<number> {
    const server = createServer()
    this.#servers.push(server)
    server.on('upgrade', (request, socket, head) => {
      this.own(socket)
      onUpgrade(request, socket, head)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  /** Ends this socket too. */
  own(socket: Duplex): void {
    this.#sockets.add(socket)
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
    for (const server of this.#servers.splice(0)) {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

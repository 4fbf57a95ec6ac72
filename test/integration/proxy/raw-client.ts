/** A client that sends exactly the bytes it is told to. */
import { once } from 'node:events'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

import { eventually } from '../../fakes/eventually.ts'
import type { GatewayUnderTest } from './gateway-under-test.ts'
import type { Person } from './people.ts'

type Address = Pick<GatewayUnderTest, 'port' | 'ca'>

export interface RawResponse {
  code: number
  headers: Map<string, string>
  body: Buffer
  /** Ended as its framing says. */
  complete: boolean
}

export class RawClient {
  readonly socket: TLSSocket
  received: Buffer = Buffer.alloc(0)
  closed = false
  /** The other side has said that it will send nothing more. */
  ended = false
  /** Response bodies that have none whatever their head says. */
  bodiless = false

  #wire: Socket | undefined

  private constructor(socket: TLSSocket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])))
    socket.on('end', () => (this.ended = true))
    socket.on('close', () => (this.closed = true))
  }

  static async open({ port, ca }: Address): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, ca })
    const client = new RawClient(socket)
    await once(socket, 'secureConnect')
    return client
  }

  /**
   * One that can reset its connection. Over a relay, because Node 24.21 does not
   * survive `resetAndDestroy` of the socket beneath its own TLS.
   */
  static async openResettable({ port, ca }: Address): Promise<RawClient> {
    const wire = connectTcp(port, '127.0.0.1')
    wire.on('error', () => undefined)
    const relay = createServer((near) => {
      near.on('error', () => undefined)
      near.pipe(wire).pipe(near)
      wire.on('close', () => near.destroy())
    })
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    const client = await RawClient.open({ port: (relay.address() as AddressInfo).port, ca })
    relay.close()
    client.#wire = wire
    return client
  }

  send(...parts: (string | Uint8Array)[]): void {
    for (const part of parts) {
      this.socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
    }
  }

  get responses(): RawResponse[] {
    return parseResponses(this.received, this.bodiless)
  }

  async response(nth = 0): Promise<RawResponse> {
    const complete = (): boolean => this.responses[nth]?.complete === true
    await eventually(`response ${nth}, have ${this.received.toString('latin1', 0, 300)}`, complete)
    return this.responses[nth] as RawResponse
  }

  async gone(timeoutMs = 5000): Promise<void> {
    await eventually('the gateway closes the connection', () => this.closed, timeoutMs)
  }

  /** The TCP reset that a killed client or a firewall sends. */
  reset(): void {
    if (this.#wire === undefined) throw new Error('not opened by openResettable')
    this.#wire.resetAndDestroy()
  }
}

/** A request head; each line of `lines` as it is. */
export function head(start: string, ...lines: string[]): string {
  return [`${start} HTTP/1.1`, 'Host: gateway', ...lines, '', ''].join('\r\n')
}

export function signedHead(
  under: GatewayUnderTest,
  person: Person,
  start: string,
  ...lines: string[]
): string {
  return head(start, `Authorization: ${under.ground.people.bearer(person)}`, ...lines)
}

export function parseResponses(bytes: Buffer, bodiless = false): RawResponse[] {
  const responses: RawResponse[] = []
  let rest = bytes
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end === -1) return responses
    const [start = '', ...lines] = rest.toString('latin1', 0, end).split('\r\n')
    const code = Number(/^HTTP\/1\.1 (\d{3}) /.exec(start)?.[1])
    if (Number.isNaN(code)) throw new Error(`no response: ${start.slice(0, 100)}`)
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    rest = rest.subarray(end + 4)
    const noBody = bodiless || code === 204 || code === 304 || code < 200
    const { body, used } = noBody ? { body: Buffer.alloc(0), used: 0 } : takeBody(rest, headers)
    responses.push({ code, headers, body, complete: used !== undefined })
    if (used === undefined) return responses
    rest = rest.subarray(used)
  }
}

function takeBody(
  bytes: Buffer,
  headers: Map<string, string>,
): { body: Buffer; used: number | undefined } {
  const length = headers.get('content-length')
  if (headers.get('transfer-encoding') === 'chunked') return takeChunks(bytes)
  if (length === undefined) return { body: bytes, used: undefined }
  const body = bytes.subarray(0, Number(length))
  return { body, used: body.length === Number(length) ? body.length : undefined }
}

function takeChunks(bytes: Buffer): { body: Buffer; used: number | undefined } {
  const chunks: Buffer[] = []
  let at = 0
  for (;;) {
    const line = bytes.indexOf('\r\n', at)
    if (line === -1) return { body: Buffer.concat(chunks), used: undefined }
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    chunks.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
    if (at > bytes.length) return { body: Buffer.concat(chunks), used: undefined }
    if (size === 0) return { body: Buffer.concat(chunks), used: at }
  }
}

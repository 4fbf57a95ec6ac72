import { once } from 'node:events'

import { afterEach, describe, expect, it } from '@jest/globals'

import { acceptTunnel, type WebSocketTunnel } from '../../../lib/websocket/tunnel.ts'
import { dialTunnel } from '../../conformance/dial-tunnel.ts'
import { pseudoRandomBytes } from '../../conformance/observe.ts'
import { FakeClock } from '../../fakes/fake-clock.ts'
import { UpgradeServers } from '../../fakes/upgrade-server.ts'

const KIB = 1024
const MIB = 1024 * KIB

const servers = new UpgradeServers()

afterEach(async () => await servers.close())

async function open() {
  const accepted = Promise.withResolvers<WebSocketTunnel>()
  const port = await servers.listen((request, socket, head) => {
    const accepting = acceptTunnel(request, socket, head, { clock: new FakeClock() })
    accepting.then(accepted.resolve, accepted.reject)
  })
  const [tunnel, { ws }] = await Promise.all([accepted.promise, dialTunnel(port)])
  const messages: Buffer[] = []
  ws.on('message', (data: Buffer) => messages.push(data))
  ws.on('error', () => undefined)
  return { ws, messages, tunnel }
}

/** `once` would reject with the error that is looked for. */
async function closeOf(tunnel: WebSocketTunnel): Promise<void> {
  await new Promise<void>((resolve) => tunnel.once('close', resolve))
}

/** Everything that comes, until the end. */
async function drain(tunnel: WebSocketTunnel): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of tunnel) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

describe('the tunnel', () => {
  it('is one stream of bytes, however the client cuts it', async () => {
    const { ws, tunnel } = await open()
    const bytes = pseudoRandomBytes(1, 300 * KIB)
    for (let at = 0; at < bytes.length; at += 7001) ws.send(bytes.subarray(at, at + 7001))
    ws.close(1000)
    expect(Buffer.compare(await drain(tunnel), bytes)).toBe(0)
  })

  it('leaves in messages of 64 KiB at most, and whole', async () => {
    const { ws, messages, tunnel } = await open()
    tunnel.resume()
    const bytes = pseudoRandomBytes(2, 300 * KIB)
    tunnel.cork()
    for (let at = 0; at < bytes.length; at += 50 * KIB) {
      tunnel.write(bytes.subarray(at, at + 50 * KIB))
    }
    tunnel.uncork()
    tunnel.end()
    const [code] = (await once(ws, 'close')) as [number]
    expect(code).toBe(1000)
    expect(Buffer.compare(Buffer.concat(messages), bytes)).toBe(0)
    expect(Math.max(...messages.map((message) => message.length))).toBe(64 * KIB)
  })

  it.each([1001, 1008, 1011, 3000])('is broken when the client closes with %i', async (code) => {
    const { ws, tunnel } = await open()
    tunnel.resume()
    const failed = closeOf(tunnel)
    ws.close(code)
    await failed
    expect(tunnel.errored?.message).toBe(`the WebSocket was closed with code ${code}`)
  })

  it('is broken when the connection breaks', async () => {
    const { ws, tunnel } = await open()
    tunnel.resume()
    const failed = closeOf(tunnel)
    ws.terminate()
    await failed
    expect(tunnel.errored?.message).toBe('the WebSocket was closed with code 1006')
  })

  it('refuses text, which is no SPDY', async () => {
    const { ws, tunnel } = await open()
    tunnel.resume()
    const failed = closeOf(tunnel)
    ws.send('hello')
    const [[code]] = (await Promise.all([once(ws, 'close'), failed])) as [[number], unknown]
    expect(tunnel.errored?.message).toBe('a text message in the tunnel')
    expect([1006, 1008]).toContain(code)
  })

  it('breaks for the client when it is destroyed', async () => {
    const { ws, tunnel } = await open()
    const closed = once(ws, 'close') as Promise<[number]>
    tunnel.destroy(new Error('enough'))
    expect((await closed)[0]).toBe(1006)
  })

  it('takes nothing once the client has closed', async () => {
    const { ws, tunnel } = await open()
    tunnel.resume()
    const ended = once(tunnel, 'end')
    ws.close(1000)
    await ended
    const failure = await new Promise<Error | null | undefined>((resolve) => {
      tunnel.write('late', resolve)
    })
    expect(failure?.message).toBe('the WebSocket is closed')
  })

  it('waits for a client that does not read, and says when to go on', async () => {
    const { ws, messages, tunnel } = await open()
    ws.pause()
    tunnel.resume()
    const piece = pseudoRandomBytes(3, 256 * KIB)
    let written = 0
    while (tunnel.write(piece)) written += piece.length
    // What fits into the kernel's buffers and ours, and no more.
    expect(written).toBeLessThan(32 * MIB)
    const drained = once(tunnel, 'drain')
    ws.resume()
    await drained
    tunnel.end()
    await once(ws, 'close')
    const received = messages.reduce((sum, message) => sum + message.length, 0)
    expect(received).toBe(written + piece.length)
  })

  it('does not read what nobody takes', async () => {
    const { ws, tunnel } = await open()
    const piece = pseudoRandomBytes(4, 64 * KIB)
    const total = 64 * MIB
    // Once they are written there is nothing more to wait for: they went to the kernel, or wait there.
    for (let sent = 0; sent < total; sent += piece.length) ws.send(piece)
    tunnel.read(0)
    await once(tunnel, 'readable')
    expect(tunnel.readableLength).toBeLessThanOrEqual(MIB)
    let taken = 0
    tunnel.on('data', (part: Buffer) => (taken += part.length))
    const ended = once(tunnel, 'end')
    ws.close(1000)
    await ended
    expect(taken).toBe(total)
  })
})

/** The dialer of port-forward against a real TLS server on this machine. */
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { createForwardDialer } from '../../../lib/kube/dial-forward.ts'
import { acceptSpdyForward } from '../../../lib/spdy/forward-server.ts'
import type { ForwardClientSession } from '../../../lib/streams/forward.ts'
import { DEFAULT_STREAM_LIMITS } from '../../../lib/streams/stream-limits.ts'
import { WatchedConnection } from '../../conformance/forward-suite.ts'
import { FORBIDDEN, NO_SIGNAL } from '../../fakes/dial-bench.ts'
import {
  answer,
  createTestPki,
  say,
  SPDY_101,
  startScriptedApiServer,
  type Answer,
  type ScriptedApiServer,
  type TestPki,
} from '../../fakes/scripted-api-server.ts'

const TARGET = { namespace: 'shop', pod: 'web-0.a' }
const FORWARD_101 = SPDY_101.replace('v4.channel.k8s.io', 'portforward.k8s.io')

let pki: TestPki
const servers: ScriptedApiServer[] = []
const legs: ForwardClientSession[] = []

beforeAll(async () => {
  pki = await createTestPki()
})

afterEach(async () => {
  for (const leg of legs.splice(0)) leg.abort('test over')
  for (const server of servers.splice(0)) await server.close()
})

async function dial(spdy: Answer, signal: AbortSignal = NO_SIGNAL, headers = {}) {
  const server = await startScriptedApiServer(pki, { websocket: FORBIDDEN, spdy })
  servers.push(server)
  const dialer = createForwardDialer({
    endpoint: server.endpoint,
    limits: { ...DEFAULT_STREAM_LIMITS, handshakeMs: 300 },
  })
  const dialled = dialer.dial(TARGET, headers, signal).then((leg) => {
    legs.push(leg)
    return leg
  })
  dialled.catch(() => undefined)
  return { server, dialled }
}

/** Says back what it hears; nothing listens on port 81. */
const echo: Answer = (socket, _request, head) => {
  socket.write(FORWARD_101)
  // The scripted server looks at the bytes of what it does not accept itself.
  socket.removeAllListeners('data').removeAllListeners('end')
  const server = acceptSpdyForward(socket, head)
  server.start({
    onConnection(connection) {
      if (connection.port === 81) connection.fail('error forwarding port 81: connection refused')
      connection.start({
        onData: (data) => void connection.write(data),
        onEnd: () => connection.finish(),
        onDrain() {},
        onClose() {},
      })
    },
    onClose() {},
  })
}

describe('a port-forward is opened', () => {
  it('at a path without ports, and carries connections', async () => {
    const { server, dialled } = await dial(echo, NO_SIGNAL, {
      'Impersonate-User': 'ana',
      'X-Stream-Protocol-Version': 'v1',
      Authorization: 'Bearer of-the-client',
    })
    const leg = await dialled
    const { request } = server.requests[0] ?? { request: undefined }
    expect(`${request?.method} ${request?.url}`).toBe(
      'POST /api/v1/namespaces/shop/pods/web-0.a/portforward',
    )
    expect(request?.headers).toMatchObject({
      'x-stream-protocol-version': 'portforward.k8s.io',
      'impersonate-user': 'ana',
      authorization: 'Bearer of-the-gateway',
    })
    const refused = new WatchedConnection(await leg.open(81))
    await refused.until(() => refused.ends.length > 0)
    expect(refused.ends).toEqual([
      { kind: 'failed', detail: 'error forwarding port 81: connection refused' },
    ])
    const good = new WatchedConnection(await leg.open(80))
    good.connection.write(Buffer.from('hello'))
    good.connection.end()
    await good.until(() => good.ends.length > 0)
    expect([good.text, good.ends[0]?.kind]).toEqual(['hello', 'clean'])
  })

  it('and refuses to open more on a connection that is gone', async () => {
    const { server, dialled } = await dial(echo)
    const leg = await dialled
    const gone = new Promise((resolve) => leg.start({ onClose: resolve }))
    leg.abort('over')
    await gone
    await expect(leg.open(80)).rejects.toMatchObject({ id: 1513 })
    await server.allClosed()
  })
})

describe('a port-forward is not opened', () => {
  it.each<{ name: string; spdy: Answer; error: object }>([
    {
      name: 'a refusal in the words of the API server',
      spdy: FORBIDDEN,
      error: { message: 'cannot get pods/exec' },
    },
    { name: 'another protocol', spdy: say(SPDY_101), error: { id: 1507 } },
    { name: 'a redirect', spdy: answer(302, '', ['Location: /']), error: { id: 1507 } },
    { name: 'silence', spdy: () => undefined, error: { id: 1504 } },
  ])('on $name, and no connection is left', async ({ spdy, error }) => {
    const { server, dialled } = await dial(spdy)
    await expect(dialled).rejects.toMatchObject(error)
    await server.allClosed()
    expect(server.strayBytes).toBe(0)
  })

  it('when it was cancelled', async () => {
    const controller = new AbortController()
    const { server, dialled } = await dial(() => controller.abort(), controller.signal)
    await expect(dialled).rejects.toMatchObject({ id: 1508 })
    await server.allClosed()
  })

  it('for a name that is none, before anything is asked', async () => {
    const { server } = await dial(FORBIDDEN)
    const dialer = createForwardDialer({ endpoint: server.endpoint })
    const dialled = dialer.dial({ namespace: 'shop', pod: '../x' }, {}, NO_SIGNAL)
    await expect(dialled).rejects.toMatchObject({ code: 400 })
  })
})

/** Waits on this machine for the browser that comes back from the sign-in (RFC 8252 7.3). */
import { createServer, type Server, type ServerResponse } from 'node:http'

export interface Loopback {
  redirectUri: string
  /** The address that the browser came with. Rejects when `signal` aborts. */
  arrival(signal: AbortSignal): Promise<URL>
  close(): void
}

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Podgate</title></head>
<body style="font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1.25rem">
<h1 style="font-size:1.4rem">TITLE</h1><p>TEXT You may close this page.</p></body></html>
`

function send(response: ServerResponse, code: number, title: string, text: string): void {
  response
    .writeHead(code, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      connection: 'close',
    })
    .end(PAGE.replace('TITLE', title).replace('TEXT', text))
}

async function listenOnLoopback(server: Server): Promise<number> {
  return await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
}

/** @param state what the right browser brings; another page of this machine may call here as well */
export async function openLoopback(state: string): Promise<Loopback> {
  const arrived = Promise.withResolvers<URL>()
  // Nobody may be waiting yet, or any more.
  arrived.promise.catch(() => undefined)
  let redirectUri = ''
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? '/', redirectUri)
    const isOurs = request.method === 'GET' && url?.pathname === '/callback'
    if (url === null || !isOurs || url.searchParams.get('state') !== state) {
      send(response, 404, 'Not here', 'This is no page of a sign-in.')
      return
    }
    const failed = url.searchParams.has('error')
    if (failed) send(response, 200, 'That did not work', 'Your terminal says why.')
    else send(response, 200, 'Signed in', 'Go back to your terminal.')
    arrived.resolve(url)
  })
  // A connection that somebody opened and says nothing on must not keep the command from ending.
  server.on('connection', (socket) => void socket.unref())
  const port = await listenOnLoopback(server)
  redirectUri = `http://127.0.0.1:${port}/callback`
  return {
    redirectUri,
    async arrival(signal) {
      const onAbort = (): void => arrived.reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      try {
        return await arrived.promise
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    },
    close() {
      server.close()
      // The answer to the browser may be on its way.
      server.closeIdleConnections()
    },
  }
}

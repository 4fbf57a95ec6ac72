/** One request of exactly these bytes over TLS, and how its answer begins. */
import { connect, type TLSSocket } from 'node:tls'

export interface RawTarget {
  host: string
  port: number
  servername?: string
  ca: string
  /** A client certificate, straight to the API server. */
  cert?: string
  key?: string
}

export interface RawAnswer {
  /** 0: the connection ended without an answer. */
  code: number
  text: string
}

const TIMEOUT_MS = 20_000
/** For what was opened to do its work; it is over when the other side says so. */
const OPEN_MS = 2000

/** Resolves with the head and what has come with it; the connection is over then. */
export async function rawRequest(target: RawTarget, bytes: Buffer): Promise<RawAnswer> {
  const socket = connect({ ...target, ALPNProtocols: ['http/1.1'] })
  try {
    return await answerOf(socket, bytes)
  } finally {
    socket.destroy()
  }
}

async function answerOf(socket: TLSSocket, bytes: Buffer): Promise<RawAnswer> {
  let text = ''
  let open: NodeJS.Timeout | undefined
  return await new Promise<RawAnswer>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no answer to ${bytes.toString('latin1', 0, 200)}`)),
      TIMEOUT_MS,
    )
    const finish = (): void => {
      clearTimeout(timer)
      clearTimeout(open)
      resolve({ code: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text })
    }
    socket.on('secureConnect', () => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const head = text.indexOf('\r\n\r\n')
      if (text.startsWith('HTTP/1.1 101')) open ??= setTimeout(finish, OPEN_MS)
      // A refusal in words comes in one piece with its head, or right after it.
      else if (head !== -1 && (text.length > head + 4 || / (?:204|304) /.test(text.slice(0, 13)))) {
        finish()
      }
    })
    socket.on('error', finish)
    socket.on('close', finish)
  })
}

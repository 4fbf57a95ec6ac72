/** The real listener, which answers each request with who it takes its client for. */
import { once } from 'node:events'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'

import { asGatewayError } from '../../../lib/errors/gateway-error.ts'
import {
  type CertificateRules,
  createReadCertificate,
} from '../../../lib/identity/client-certificate.ts'
import type { User } from '../../../lib/identity/user.ts'
import type { ClientTrust } from '../../../lib/proxy/client-trust.ts'
import { createListener, listen } from '../../../lib/proxy/listener.ts'
import { sendStatus } from '../../../lib/proxy/respond.ts'
import { createTestPki } from '../../fakes/scripted-api-server.ts'

export const RULES: CertificateRules = { usernamePrefix: '', groupsPrefix: '' }

export interface Answer {
  /** null: somebody who shows no certificate. */
  user?: User | null
  /** Of a refusal. */
  code?: number
  message?: string
}

export interface Gate {
  rules: CertificateRules
  now: () => number
  connect(options?: ConnectionOptions): Promise<TLSSocket>
  close(): Promise<void>
}

export async function openGate(trust: ClientTrust): Promise<Gate> {
  const pki = await createTestPki()
  // Its rules and its clock may change between two requests.
  const live: CertificateRules = {
    get usernamePrefix() {
      return self.rules.usernamePrefix
    },
    get groupsPrefix() {
      return self.rules.groupsPrefix
    },
    get maxLifetimeDays() {
      return self.rules.maxLifetimeDays
    },
  }
  const person = createReadCertificate(live, () => self.now())
  const server = createListener({
    cert: pki.server.certificate,
    key: pki.server.privateKey,
    ...trust,
    onRequest: (request, response) => {
      try {
        response.end(JSON.stringify({ user: person(request) ?? null }))
      } catch (error) {
        sendStatus(response, asGatewayError(error).toStatus())
      }
    },
    onUpgrade: (_request, socket) => void socket.destroy(),
  })
  const port = await listen(server, '127.0.0.1', 0)
  const self: Gate = {
    rules: RULES,
    now: Date.now,
    connect: async (options = {}) => {
      const ca = pki.authority.certificate
      const socket = connect({ host: '127.0.0.1', port, ca, ...options })
      await once(socket, 'secureConnect')
      return socket
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return self
}

/** One request over a connection that stays open. */
export async function ask(socket: TLSSocket, headers = ''): Promise<Answer> {
  let text = ''
  const whole = Promise.withResolvers<Answer>()
  const onData = (chunk: Buffer): void => {
    text += chunk.toString()
    const [head = '', body = ''] = text.split('\r\n\r\n')
    const length = /^content-length: (\d+)/im.exec(head)?.[1]
    if (length !== undefined && body.length === Number(length)) {
      whole.resolve(JSON.parse(body) as Answer)
    }
  }
  socket.on('data', onData)
  socket.once('close', () => whole.reject(new Error(`closed after: ${text}`)))
  socket.write(`GET / HTTP/1.1\r\nHost: gate\r\n${headers}\r\n`)
  const answer = await whole.promise
  socket.off('data', onData)
  return answer
}

/** One request over a connection of its own. */
export async function askOnce(
  gate: Gate,
  options: ConnectionOptions = {},
  headers = '',
): Promise<Answer> {
  const socket = await gate.connect(options)
  try {
    return await ask(socket, headers)
  } finally {
    socket.destroy()
  }
}

/** A session of TLS that is taken up again brings no identity along, and takes none away. */
import { once } from 'node:events'
import type { SecureVersion, TLSSocket } from 'node:tls'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { ask, type Answer, type Gate, openGate } from './certificate-gate.ts'
import { issue, issueAuthority, type Issued } from './certificates.ts'

let gate: Gate
/** Asks for no certificates, so that sessions may be resumed. */
let plain: Gate
let ana: Issued
let bo: Issued

beforeAll(async () => {
  const root = await issueAuthority('clients')
  ana = await issue({ subject: [{ CN: ['ana'] }], issuer: root })
  bo = await issue({ subject: [{ CN: ['bo'] }], issuer: root })
  gate = await openGate({ clientCa: root.certificate })
  plain = await openGate({})
})

afterAll(async () => {
  await gate.close()
  await plain.close()
})

interface Visit {
  answer: Answer
  session: Buffer | undefined
  isReused: boolean
}

async function visit(
  to: Gate,
  version: SecureVersion,
  person: Issued | undefined,
  session?: Buffer,
): Promise<Visit> {
  const socket: TLSSocket = await to.connect({
    minVersion: version,
    maxVersion: version,
    ...(person === undefined ? {} : { cert: person.certificate, key: person.privateKey }),
    ...(session === undefined ? {} : { session }),
  })
  let latest = socket.getSession()
  socket.on('session', (fresh) => {
    latest = fresh
  })
  const answer = await ask(socket)
  const isReused = socket.isSessionReused()
  socket.end()
  await once(socket, 'close')
  return { answer, session: latest, isReused }
}

const NAMES = { ana: () => ana, bo: () => bo, nobody: () => undefined }
type Name = keyof typeof NAMES

describe.each<SecureVersion>(['TLSv1.2', 'TLSv1.3'])('%s', (version) => {
  it('would resume a session, where nobody is asked for a certificate', async () => {
    const { session } = await visit(plain, version, undefined)
    expect(await visit(plain, version, undefined, session)).toMatchObject({ isReused: true })
  })

  it.each<[Name, Name]>([
    ['ana', 'ana'],
    ['ana', 'nobody'],
    ['ana', 'bo'],
    ['nobody', 'ana'],
    ['nobody', 'nobody'],
  ])('a session of %s, taken up by %s, is of the second', async (first, then) => {
    const { session } = await visit(gate, version, NAMES[first]())
    const again = await visit(gate, version, NAMES[then](), session)
    const user = then === 'nobody' ? null : { username: then }
    expect(again).toMatchObject({ answer: { user }, isReused: false })
  })
})

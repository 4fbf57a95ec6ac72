/** Who is known by a client certificate: over real TLS. Bad ones have a file of their own. */
import { X509Certificate } from 'node:crypto'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { JsonNameParams } from '@peculiar/x509'

import type { CertificateRules } from '../../../lib/identity/client-certificate.ts'
import type { ClientTrust } from '../../../lib/proxy/client-trust.ts'
import { ask, askOnce, type Gate, openGate, RULES } from './certificate-gate.ts'
import { issue, issueAuthority, type Issued, resigned, revoke, shown } from './certificates.ts'

const DAY_MS = 86_400_000
const ANA: JsonNameParams = [{ O: ['dev'] }, { CN: ['ana'] }]

let root: Issued
let middle: Issued
let second: Issued
let ana: Issued
let revoked: Issued
let gate: Gate

beforeAll(async () => {
  root = await issueAuthority('clients')
  middle = await issueAuthority('middle', root)
  second = await issueAuthority('machines')
  ana = await issue({ subject: ANA, issuer: root })
  revoked = await issue({ subject: ANA, issuer: root })
  gate = await openGate({ clientCa: root.certificate + second.certificate })
})

afterAll(async () => {
  await gate.close()
})

beforeEach(() => {
  gate.rules = RULES
  gate.now = Date.now
})

async function subjectOf(subject: JsonNameParams): Promise<Issued> {
  return await issue({ subject, issuer: root })
}

describe('a good certificate', () => {
  it('is the person it names, until it ends', async () => {
    const x509 = new X509Certificate(ana.certificate)
    expect(await askOnce(gate, shown(ana))).toEqual({
      user: {
        username: 'ana',
        groups: ['dev'],
        extra: {},
        issuer: expect.stringMatching(/^certificate:[0-9a-f]{32}$/),
        signIn: { amr: [] },
        expiresAt: Date.parse(x509.validTo),
        credential: {
          kind: 'Certificate',
          id: expect.stringMatching(/^c-[\w-]{22}$/),
          issuedAt: Date.parse(x509.validFrom),
        },
      },
    })
  })

  it.each<[string, JsonNameParams, Partial<CertificateRules>, object]>([
    ['without groups', [{ CN: ['ana'] }], {}, { username: 'ana', groups: [] }],
    [
      'with several groups, each once',
      [{ O: ['dev'] }, { O: ['ops'] }, { O: ['dev'] }, { CN: ['ana'] }],
      {},
      { groups: ['dev', 'ops'] },
    ],
    [
      'with name and groups in one part of its name',
      [{ O: ['dev', 'ops'], CN: ['ana'] }],
      {},
      { username: 'ana', groups: expect.arrayContaining(['dev', 'ops']) },
    ],
    [
      'with signs that would be escaped elsewhere',
      [{ O: ['a, O=b+c'] }, { CN: [{ utf8String: 'ana "x" \\ #;<=>' }] }],
      {},
      { username: 'ana "x" \\ #;<=>', groups: ['a, O=b+c'] },
    ],
    [
      'in UTF-8 and IA5',
      [{ O: [{ ia5String: 'dev' }] }, { CN: [{ utf8String: 'ana@corp' }] }],
      {},
      { username: 'ana@corp', groups: ['dev'] },
    ],
    ['in 16 bits a letter', [{ CN: [{ bmpString: 'ana' }] }], {}, { username: 'ana' }],
    [
      'with other parts, which name nobody',
      [{ C: ['DE'] }, { OU: ['admins'] }, { CN: ['ana'] }],
      {},
      { groups: [] },
    ],
    [
      'with the prefixes of the rules',
      ANA,
      { usernamePrefix: 'cert:', groupsPrefix: 'cert-' },
      { username: 'cert:ana', groups: ['cert-dev'] },
    ],
    [
      'with names of the cluster behind a prefix, where they are harmless',
      [{ O: ['system:masters'] }, { CN: ['system:admin'] }],
      { usernamePrefix: 'c:', groupsPrefix: 'c:' },
      { username: 'c:system:admin', groups: ['c:system:masters'] },
    ],
    ['as short-lived as is asked for', ANA, { maxLifetimeDays: 2 }, { username: 'ana' }],
  ])('is taken %s', async (_name, subject, rules, want) => {
    gate.rules = { ...RULES, ...rules }
    expect(await askOnce(gate, shown(await subjectOf(subject)))).toMatchObject({ user: want })
  })

  it('is taken from each authority, and from one between', async () => {
    const machine = await issue({ subject: [{ CN: ['m'] }], issuer: second })
    expect(await askOnce(gate, shown(machine))).toMatchObject({ user: { username: 'm' } })
    const below = await issue({ subject: ANA, issuer: middle })
    const cert = below.certificate + middle.certificate
    expect(await askOnce(gate, { cert, key: below.privateKey })).toMatchObject({
      user: { username: 'ana' },
    })
  })

  it('has a name of its own and keeps it, however its signature is written', async () => {
    const twin = await subjectOf(ANA)
    const idOf = async (one: Issued): Promise<string | undefined> =>
      (await askOnce(gate, shown(one))).user?.credential.id
    const id = await idOf(ana)
    expect(await idOf(ana)).toBe(id)
    expect(await idOf(twin)).not.toBe(id)
    const other = { ...ana, certificate: resigned(ana.certificate) }
    expect(other.certificate).not.toBe(ana.certificate)
    expect(await idOf(other)).toBe(id)
  })

  it.each([
    ['a page elsewhere', 'Origin: https://evil.test\r\n'],
    ['a page in a sandbox', 'Origin: null\r\n'],
    ['an image of another page', 'Sec-Fetch-Site: cross-site\r\n'],
    ['a page of the gateway itself', 'Sec-Fetch-Site: same-origin\r\n'],
  ])('is of no use to %s', async (_name, headers) => {
    const answer = await askOnce(gate, shown(ana), headers)
    expect(answer).toMatchObject({ code: 401, message: expect.stringContaining('[PODGATE-1443]') })
  })

  it('is needed by nobody', async () => {
    expect(await askOnce(gate)).toEqual({ user: null })
  })
})

describe('what an authority has revoked', () => {
  async function withLists(
    lists: string,
    run: (under: Gate) => Promise<void>,
    clientCa = root.certificate + second.certificate,
  ): Promise<void> {
    const under = await openGate({ clientCa, clientCrl: lists })
    await run(under)
    await under.close()
  }

  it('is refused, and nothing else, with the lists of several authorities in one file', async () => {
    const machine = await issue({ subject: [{ CN: ['m'] }], issuer: second })
    const stolen = await issue({ subject: [{ CN: ['m'] }], issuer: second })
    const lists = (await revoke(root, [revoked])) + (await revoke(second, [stolen]))
    await withLists(lists, async (under) => {
      expect(await askOnce(under, shown(ana))).toMatchObject({ user: { username: 'ana' } })
      expect(await askOnce(under, shown(machine))).toMatchObject({ user: { username: 'm' } })
      for (const bad of [revoked, stolen]) {
        const message = expect.stringContaining('was revoked')
        expect(await askOnce(under, shown(bad))).toMatchObject({ code: 401, message })
      }
      expect(await askOnce(under)).toEqual({ user: null })
    })
  })

  it('is not known from a list that is old, or of another authority: nobody gets in', async () => {
    const old = await revoke(root, [], new Date(Date.now() - 1000))
    for (const list of [old, await revoke(second, [])]) {
      await withLists(list, async (under) => {
        const message = expect.stringContaining('cannot be told')
        expect(await askOnce(under, shown(ana))).toMatchObject({ code: 401, message })
      })
    }
  })

  it.each<[string, () => ClientTrust, string]>([
    ['an empty file of authorities', () => ({ clientCa: '' }), 'no CERTIFICATE'],
    ['a file that holds none', () => ({ clientCa: Buffer.from('hello') }), 'no CERTIFICATE'],
    ['somebody who is no authority', () => ({ clientCa: ana.certificate }), "no authority's"],
    ['a damaged authority', () => ({ clientCa: damaged() }), "no authority's"],
    ['an empty list', () => ({ clientCa: root.certificate, clientCrl: '' }), 'no X509 CRL'],
    ['a list, but no authority', () => ({ clientCrl: 'x' }), 'no authority of clients'],
  ])('cannot be configured as %s, which would trust too many', async (_name, trust, why) => {
    await expect(openGate(trust())).rejects.toMatchObject({
      name: 'GatewayError',
      message: expect.stringContaining(why),
    })
  })

  function damaged(): string {
    return root.certificate.replace(/[A-Za-z0-9]{40}/, 'A'.repeat(40))
  }
})

describe('a connection', () => {
  it('stays with its person, until their certificate ends', async () => {
    const until = Math.floor(Date.now() / 1000) * 1000 + DAY_MS
    const short = await issue({ subject: ANA, issuer: root, until })
    const socket = await gate.connect(shown(short))
    expect(await ask(socket)).toMatchObject({ user: { username: 'ana' } })
    gate.now = () => until
    expect(await ask(socket)).toMatchObject({ user: { username: 'ana' } })
    gate.now = () => until + 1
    expect(await ask(socket)).toMatchObject({
      code: 401,
      message: expect.stringContaining('has expired'),
    })
    socket.destroy()
  })

  it('that was refused stays so', async () => {
    const socket = await gate.connect(shown(await subjectOf([{ O: ['dev'] }])))
    expect(await ask(socket)).toMatchObject({ code: 401 })
    expect(await ask(socket)).toMatchObject({ code: 401 })
    socket.destroy()
  })

  it('cannot change its person on the way (renegotiation)', async () => {
    const socket = await gate.connect({ ...shown(ana), maxVersion: 'TLSv1.2' })
    expect(await ask(socket)).toMatchObject({ user: { username: 'ana' } })
    const bo = await subjectOf([{ CN: ['bo'] }])
    socket.setKeyCert(shown(bo))
    const failed = Promise.withResolvers<Error | null>()
    socket.on('error', failed.resolve)
    socket.renegotiate({}, failed.resolve)
    expect(await failed.promise).toMatchObject({ code: expect.stringContaining('RENEGOTIATION') })
    socket.destroy()
  })
})

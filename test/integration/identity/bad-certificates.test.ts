/** Certificates that are shown and do not hold: refused with words, never passed over. */
import 'reflect-metadata'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonNameParams,
  KeyUsageFlags,
  KeyUsagesExtension,
} from '@peculiar/x509'

import { askOnce, type Gate, openGate, RULES } from './certificate-gate.ts'
import { CLIENT, issue, issueAuthority, type Issued, shown } from './certificates.ts'

const DAY_MS = 86_400_000
const ANA: JsonNameParams = [{ O: ['dev'] }, { CN: ['ana'] }]

let root: Issued
let middle: Issued
let stranger: Issued
let ana: Issued
let gate: Gate

beforeAll(async () => {
  root = await issueAuthority('clients')
  middle = await issueAuthority('middle', root)
  stranger = await issueAuthority('stranger')
  ana = await issue({ subject: ANA, issuer: root })
  gate = await openGate({ clientCa: root.certificate })
})

afterAll(async () => {
  await gate.close()
})

beforeEach(() => {
  gate.rules = RULES
})

async function subjectOf(subject: JsonNameParams): Promise<Issued> {
  return await issue({ subject, issuer: root })
}

describe('a certificate is refused, and not passed over,', () => {
  const without = (...left: readonly Extension[]): Extension[] =>
    CLIENT.filter((extension) => !left.includes(extension))
  const [constraints, keyUsage, purpose] = CLIENT as [Extension, Extension, Extension]

  it.each<[string, () => Promise<Issued>, string]>([
    ['that has expired', async () => await dated(-3, -1), 'has expired'],
    ['that is not valid yet', async () => await dated(1, 3), 'not valid yet'],
    [
      'of another authority',
      async () => await issue({ subject: ANA, issuer: stranger }),
      'not from an authority',
    ],
    ['that signed itself', async () => await issue({ subject: ANA }), 'not from an authority'],
    ['of an authority of the same name', forged, 'not from an authority'],
    ['signed by somebody who is no authority', byPerson, 'not from an authority'],
    ['without the one between', belowMiddle, 'not from an authority'],
    ['of a server', async () => await extended(serverOnly()), 'another purpose'],
    ['without a purpose', async () => await extended(without(purpose)), 'not for clients'],
    ['of an authority', async () => await extended(authorityToo()), 'that of an authority'],
    ['of the authority itself', async () => await Promise.resolve(root), 'another purpose'],
    ['that may sign others', async () => await extended(signerToo()), 'that of an authority'],
  ])('%s', async (_name, make, why) => {
    const answer = await askOnce(gate, shown(await make()))
    expect(answer).toMatchObject({ code: 401, message: expect.stringContaining(why) })
    expect(answer.message).toMatch(/^your client certificate is refused: .*\[PODGATE-1442\]$/)
  })

  async function dated(from: number, until: number): Promise<Issued> {
    const at = (days: number): number => Date.now() + days * DAY_MS
    return await issue({ subject: ANA, issuer: root, from: at(from), until: at(until) })
  }

  async function extended(extensions: Extension[]): Promise<Issued> {
    return await issue({ subject: ANA, issuer: root, extensions })
  }

  async function forged(): Promise<Issued> {
    return await issue({ subject: ANA, issuer: await issueAuthority('clients') })
  }

  async function belowMiddle(): Promise<Issued> {
    return await issue({ subject: ANA, issuer: middle })
  }

  async function byPerson(): Promise<Issued> {
    const child = await issue({ subject: [{ CN: ['bo'] }], issuer: ana })
    return { ...child, certificate: child.certificate + ana.certificate }
  }

  function serverOnly(): Extension[] {
    return [constraints, keyUsage, new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth])]
  }

  function authorityToo(): Extension[] {
    return [new BasicConstraintsExtension(true, undefined, true), keyUsage, purpose]
  }

  function signerToo(): Extension[] {
    const { digitalSignature, keyCertSign } = KeyUsageFlags
    return [constraints, new KeyUsagesExtension(digitalSignature | keyCertSign, true), purpose]
  }

  it.each<[string, JsonNameParams, string]>([
    ['without a name', [{ O: ['dev'] }], 'no name'],
    ['with an empty name', [{ CN: [''] }], 'no name'],
    ['with two names', [{ CN: ['ana'] }, { CN: ['bo'] }], 'several names'],
    ['with two names in one part', [{ CN: ['ana', 'bo'] }], 'several names'],
    ['with the same name twice', [{ CN: ['ana'] }, { CN: ['ana'] }], 'several names'],
    ['with an empty group', [{ O: [''] }, { CN: ['ana'] }], '(O) is empty'],
    ['with a name of the cluster', [{ CN: ['system:admin'] }], 'belong to Kubernetes'],
    ['with a name of it in capitals', [{ CN: ['SYSTEM:admin'] }], 'belong to Kubernetes'],
    ['that is a node', [{ CN: ['system:node:n1'] }], 'belong to Kubernetes'],
    [
      'that is a service account',
      [{ CN: ['system:serviceaccount:kube-system:x'] }],
      'belong to Kubernetes',
    ],
    ['of the masters', [{ O: ['system:masters'] }, { CN: ['ana'] }], 'belong to Kubernetes'],
    [
      'of the masters among others',
      [{ O: ['dev'] }, { O: ['system:masters'] }, { CN: ['ana'] }],
      'belong to Kubernetes',
    ],
    ['of the masters behind a space', [{ O: [' system:masters'] }, { CN: ['a'] }], 'ASCII'],
    ['with a NUL in its name', [{ CN: [{ utf8String: 'ana\0.bo' }] }], 'ASCII'],
    ['with a line break', [{ CN: [{ utf8String: 'ana\r\nImpersonate-Group: x' }] }], 'ASCII'],
    ['with letters beyond ASCII', [{ CN: [{ utf8String: 'Änne' }] }], 'ASCII'],
    ['with letters that look like others', [{ CN: [{ utf8String: 'аnа' }] }], 'ASCII'],
    ['with a mark before its name', [{ CN: [{ utf8String: '\uFEFFana' }] }], 'ASCII'],
    ['with a space behind its name', [{ CN: ['ana '] }], 'ASCII'],
    // DER: a NumericString, which one of the two readers does not know.
    ['that two readers read in two ways', [{ CN: ['#1203313233'] }], 'two different names'],
    [
      'with a group of that kind',
      [{ O: ['dev'] }, { O: ['#1203313233'] }, { CN: ['ana'] }],
      'two different names',
    ],
    ['in damaged UTF-8', [{ CN: ['#0c03ff6162'] }], 'ASCII'],
  ])('%s', async (_name, subject, why) => {
    const answer = await askOnce(gate, shown(await subjectOf(subject)))
    expect(answer).toMatchObject({ code: 401, message: expect.stringContaining(why) })
  })

  it('that begins with the prefix of the cluster only together with the rules', async () => {
    gate.rules = { ...RULES, usernamePrefix: 'system:' }
    expect(await askOnce(gate, shown(ana))).toMatchObject({ code: 401 })
  })

  it('that lives longer than is allowed', async () => {
    gate.rules = { ...RULES, maxLifetimeDays: 1 }
    expect(await askOnce(gate, shown(ana))).toMatchObject({
      code: 401,
      message: expect.stringContaining('more than 1 days'),
    })
  })
})

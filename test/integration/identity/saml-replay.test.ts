/** A response counts once, at whichever replica it arrives. */
import { beforeAll, describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import { createSamlKeys, type SamlAnswer, type SamlKeys } from '../../fakes/saml-idp.ts'
import {
  base64,
  createSpentRecord,
  refusal,
  REQUEST,
  samlProvider,
  signedResponse,
} from './saml-bed.ts'

let keys: SamlKeys

beforeAll(async () => {
  keys = await createSamlKeys()
})

/** Two replicas with one list. */
function replicas() {
  const spent = createSpentRecord()
  return { spent, first: samlProvider(keys, {}, spent), second: samlProvider(keys, {}, spent) }
}

function form(changes: Partial<SamlAnswer> = {}): { SAMLResponse: string } {
  return { SAMLResponse: base64(signedResponse(keys, changes)) }
}

describe('a SAML response that was used', () => {
  it('is refused at the same replica and at another one', async () => {
    const { first, second } = replicas()
    await first.finish(form(), REQUEST)
    await expect(first.finish(form(), REQUEST)).rejects.toMatchObject(refusal(1439, /once/))
    await expect(second.finish(form(), REQUEST)).rejects.toMatchObject(refusal(1439, /once/))
  })

  it('is accepted at one of two replicas that get it at the same time', async () => {
    const { first, second } = replicas()
    const both = await Promise.allSettled([
      first.finish(form(), REQUEST),
      second.finish(form(), REQUEST),
    ])
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  })

  it('answers its request, so that another answer to it is refused', async () => {
    const { first, second } = replicas()
    await first.finish(form(), REQUEST)
    const another = form({ assertionId: '_assertion-2', responseId: '_response-2' })
    await expect(second.finish(another, REQUEST)).rejects.toMatchObject(refusal(1439, /once/))
  })

  it('is refused as the answer to another request', async () => {
    const { first, second } = replicas()
    await first.finish(form(), REQUEST)
    const again = form({ inResponseTo: '_request-2', subjectInResponseTo: '_request-2' })
    await expect(second.finish(again, '_request-2')).rejects.toMatchObject(refusal(1439, /once/))
  })
})

describe('what is spent', () => {
  it('is not what a response only claims: a refused one uses up nothing', async () => {
    const { spent, first } = replicas()
    const text = signedResponse(keys).replace('ana@', 'root@')
    await expect(first.finish({ SAMLResponse: base64(text) }, REQUEST)).rejects.toThrow()
    expect(spent.untils.size).toBe(0)
    await expect(first.finish(form(), REQUEST)).resolves.toBeDefined()
  })

  it('has to be known: while nobody knows, nobody signs in', async () => {
    const away = new GatewayError('ServiceUnavailable', 'the store is away', { id: 1012 })
    const provider = samlProvider(keys, {}, { spend: () => Promise.reject(away) })
    await expect(provider.finish(form(), REQUEST)).rejects.toBe(away)
  })
})

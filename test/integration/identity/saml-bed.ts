/** A SAML provider that trusts one set of keys, at a moment that stands still. */
import { randomUUID } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'

import { expect } from '@jest/globals'

import {
  createSamlProvider,
  type SamlConfig,
  type SamlProvider,
} from '../../../lib/identity/saml.ts'
import type { SpentIds } from '../../../lib/identity/spent-ids.ts'
import { responseXml, type SamlAnswer, type SamlKeys, sign } from '../../fakes/saml-idp.ts'

export const NOW: number = Date.parse('2026-03-01T12:00:00Z')
export const SKEW_SECONDS = 60
export const IDP = 'https://idp.example/saml'
export const ACS = 'https://gateway.example/podgate/sign-in/saml/corp/acs'
export const GATEWAY = 'https://gateway.example/podgate/sign-in/saml/corp/metadata'
export const REQUEST = '_request-1'
export const SUCCESS =
  '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>' as const
export const EMAIL = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'
export const PASSWORD = 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport'

/** `seconds` from NOW, as SAML writes it. */
export function at(seconds: number): string {
  return new Date(NOW + seconds * 1000).toISOString()
}

/** What a good provider answers; `changes` is the one thing that is different. */
export function answer(changes: Partial<SamlAnswer> = {}): SamlAnswer {
  return {
    responseId: '_response-1',
    assertionId: '_assertion-1',
    inResponseTo: REQUEST,
    subjectInResponseTo: REQUEST,
    issuer: IDP,
    responseIssuer: IDP,
    destination: ACS,
    recipient: ACS,
    audiences: [[GATEWAY]],
    conditions: '',
    status: SUCCESS,
    nameId: 'ana@corp.example',
    nameIdFormat: EMAIL,
    method: 'urn:oasis:names:tc:SAML:2.0:cm:bearer',
    notBefore: at(-30),
    notOnOrAfter: at(300),
    subjectNotOnOrAfter: at(300),
    authnInstant: at(-10),
    sessionNotOnOrAfter: '',
    sessionIndex: '_session-1',
    acr: PASSWORD,
    attributes: [['groups', ['dev', 'ops']]],
    more: '',
    ...changes,
  }
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

/** What the provider is asked, by the address that the browser was sent to. */
export interface Asked {
  id: string
  xml: string
  relayState: string
}

export function askedOf({ searchParams }: URL): Asked {
  const request = Buffer.from(searchParams.get('SAMLRequest') ?? '', 'base64')
  const xml = inflateRawSync(request).toString()
  return {
    id: /\bID="([^"]+)"/.exec(xml)?.[1] ?? '',
    xml,
    relayState: searchParams.get('RelayState') ?? '',
  }
}

/**
 * The provider's form, filled in now for the one who asked.
 *
 * @param base of the provider at the gateway: `https://gate/podgate/sign-in/saml/corp`
 */
export function formFor(
  keys: SamlKeys,
  base: string,
  { id, relayState }: Asked,
  changes: Partial<SamlAnswer> = {},
): Record<string, string> {
  const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString()
  const xml = responseXml(
    answer({
      assertionId: `_assertion-${randomUUID()}`,
      inResponseTo: id,
      subjectInResponseTo: id,
      destination: `${base}/acs`,
      recipient: `${base}/acs`,
      audiences: [[`${base}/metadata`]],
      notBefore: soon(-30),
      notOnOrAfter: soon(300),
      subjectNotOnOrAfter: soon(300),
      authnInstant: soon(-10),
      ...changes,
    }),
  )
  return { SAMLResponse: base64(sign(xml, keys.privateKey)), RelayState: relayState }
}

/** A good response with a signed assertion, but for `changes`. */
export function signedResponse(keys: SamlKeys, changes: Partial<SamlAnswer> = {}): string {
  return sign(responseXml(answer(changes)), keys.privateKey)
}

export interface SpentRecord extends Pick<SpentIds, 'spend'> {
  readonly untils: Map<string, Date>
}

/** The list that all replicas share. */
export function createSpentRecord(): SpentRecord {
  const untils = new Map<string, Date>()
  return {
    untils,
    spend: (id, until) => {
      const first = !untils.has(id)
      if (first) untils.set(id, until)
      return Promise.resolve(first)
    },
  }
}

export function samlConfig(
  certificates: readonly string[],
  changes: Partial<SamlConfig> = {},
): SamlConfig {
  return {
    name: 'corp',
    entityId: IDP,
    singleSignOnUrl: 'https://idp.example/sso?tenant=7',
    certificates,
    spEntityId: GATEWAY,
    acsUrl: ACS,
    usernamePrefix: '',
    groupsAttribute: 'groups',
    groupsPrefix: '',
    clockSkewSeconds: SKEW_SECONDS,
    ...changes,
  }
}

export function samlProvider(
  keys: SamlKeys,
  changes: Partial<SamlConfig> = {},
  spent: Pick<SpentIds, 'spend'> = createSpentRecord(),
): SamlProvider {
  return createSamlProvider(samlConfig([keys.certificate], changes), { now: () => NOW, spent })
}

/** What `rejects.toMatchObject` takes. */
export function refusal(id: number, words: RegExp): object {
  return { reason: 'Unauthorized', id, message: expect.stringMatching(words) }
}

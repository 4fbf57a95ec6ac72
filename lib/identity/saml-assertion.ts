/**
 * Whether a verified assertion is for here, for now and for this sign-in (Profiles 4.1.4.3). PURE.
 *
 * Everything is read from the signed bytes. Who the assertion is about: saml-person.ts.
 */
import type { GatewayError } from '../errors/gateway-error.ts'
import { checkInResponseTo, checkIssuers, elsewhere } from './saml-envelope.ts'
import { ASSERTION, notTrusted, refuse, type SamlConfig, shown } from './saml-terms.ts'
import { attributeOf, childrenOf, isNamed, textOf, type XmlElement } from './xml.ts'

const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer'
/** Core 1.3.3: UTC, and saying so. */
const UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/

export interface Validity {
  /** The assertion's own ID: it may be used once. */
  id: string
  /** ms: nobody would accept it from here on. */
  until: number
  /** ms: when the person proved who they are. */
  authenticatedAt: number
  acr?: string
  sessionIndex?: string
  /** ms: when the provider ends the session. */
  endsAt?: number
}

export interface Moment {
  requestId: string
  /** ms */
  now: number
}

/** Of the signed bytes: the assertion, or the response around it. */
export function signedAssertion(signed: XmlElement): XmlElement {
  if (isNamed(signed, ASSERTION, 'Assertion')) return signed
  const [assertion, ...others] = childrenOf(signed, ASSERTION, 'Assertion')
  if (assertion === undefined || others.length > 0) {
    throw notTrusted('what is signed is not one assertion')
  }
  return assertion
}

/** @throws GatewayError Unauthorized */
export function checkAssertion(
  assertion: XmlElement,
  config: SamlConfig,
  moment: Moment,
): Validity {
  const id = attributeOf(assertion, 'ID')
  if (id === undefined || attributeOf(assertion, 'Version') !== '2.0') {
    throw unusable('it is not an assertion of SAML 2.0')
  }
  checkIssuers(childrenOf(assertion, ASSERTION, 'Issuer'), config)
  const clock = createClock(config.clockSkewSeconds, moment.now)
  checkConditions(one(assertion, 'Conditions'), config, clock)
  const until = checkSubject(one(assertion, 'Subject'), config, moment.requestId, clock)
  return { id, until, ...readStatement(one(assertion, 'AuthnStatement'), config, clock) }
}

interface Clock {
  checkNotBefore(element: XmlElement): void
  /** The moment from which on it does not count, the skew included; undefined: not said. */
  checkNotOnOrAfter(element: XmlElement, name?: string): number | undefined
  now: number
  skewMs: number
}

function createClock(skewSeconds: number, now: number): Clock {
  const skewMs = skewSeconds * 1000
  return {
    now,
    skewMs,
    checkNotBefore: (element) => {
      const start = timeOf(element, 'NotBefore')
      if (start === undefined || now >= start - skewMs) return
      throw outOfTime(`is valid from ${clockTime(start)} on`)
    },
    checkNotOnOrAfter: (element, name = 'NotOnOrAfter') => {
      const end = timeOf(element, name)
      if (end !== undefined && now >= end + skewMs) {
        throw outOfTime(`was valid until ${clockTime(end)}`)
      }
      return end
    },
  }
}

/** Core 2.5.1: a condition that is not understood is a condition that is not met. */
function checkConditions(conditions: XmlElement, config: SamlConfig, clock: Clock): void {
  clock.checkNotBefore(conditions)
  clock.checkNotOnOrAfter(conditions)
  const audiences = childrenOf(conditions, ASSERTION, 'AudienceRestriction')
  const known = ['AudienceRestriction', 'OneTimeUse', 'ProxyRestriction']
  if (
    !conditions.children.every((child) => known.some((name) => isNamed(child, ASSERTION, name)))
  ) {
    throw unusable('it has a condition that the gateway does not know')
  }
  // Several restrictions have all to be met; in one of them, one audience is enough (Core 2.5.1.4).
  const named = audiences.map((audience) => childrenOf(audience, ASSERTION, 'Audience').map(textOf))
  const missed = named.find((names) => !names.includes(config.spEntityId))
  if (named.length === 0 || missed !== undefined) {
    throw elsewhere('assertion', missed?.[0], config.spEntityId)
  }
}

/** Gives the end of the time in which the assertion can be used. */
function checkSubject(
  subject: XmlElement,
  config: SamlConfig,
  requestId: string,
  clock: Clock,
): number {
  const [bearer, ...others] = childrenOf(subject, ASSERTION, 'SubjectConfirmation').filter(
    (confirmation) => attributeOf(confirmation, 'Method') === BEARER,
  )
  if (bearer === undefined || others.length > 0) {
    throw unusable('it does not say in one way that whoever brings it is the person (bearer)')
  }
  const data = one(bearer, 'SubjectConfirmationData')
  const recipient = attributeOf(data, 'Recipient')
  if (recipient !== config.acsUrl) throw elsewhere('assertion', recipient, config.acsUrl)
  checkInResponseTo(attributeOf(data, 'InResponseTo'), requestId)
  clock.checkNotBefore(data)
  const end = clock.checkNotOnOrAfter(data)
  if (end === undefined) throw unusable('it does not say until when it can be used')
  return end + clock.skewMs
}

function readStatement(
  statement: XmlElement,
  config: SamlConfig,
  clock: Clock,
): Omit<Validity, 'id' | 'until'> {
  const authenticatedAt = timeOf(statement, 'AuthnInstant')
  if (authenticatedAt === undefined) throw unusable('it does not say when you signed in')
  if (authenticatedAt > clock.now + clock.skewMs) {
    throw outOfTime(`is about a sign-in at ${clockTime(authenticatedAt)}`)
  }
  const maxAge = config.maxAuthenticationAgeSeconds
  if (maxAge !== undefined && authenticatedAt + maxAge * 1000 + clock.skewMs < clock.now) {
    throw refuse(
      1437,
      `you signed in at the provider at ${clockTime(authenticatedAt)}, which is too long ago. Sign out there, then sign in again`,
    )
  }
  const endsAt = clock.checkNotOnOrAfter(statement, 'SessionNotOnOrAfter')
  const sessionIndex = attributeOf(statement, 'SessionIndex')
  const context = childrenOf(statement, ASSERTION, 'AuthnContext')[0]
  const acr =
    context === undefined
      ? undefined
      : textOf(childrenOf(context, ASSERTION, 'AuthnContextClassRef')[0])
  return {
    authenticatedAt,
    ...(acr === undefined || acr === '' ? {} : { acr }),
    ...(sessionIndex === undefined ? {} : { sessionIndex }),
    ...(endsAt === undefined ? {} : { endsAt }),
  }
}

function one(parent: XmlElement, name: string): XmlElement {
  const [child, ...others] = childrenOf(parent, ASSERTION, name)
  if (child === undefined || others.length > 0) {
    throw unusable(`it has ${others.length === 0 ? 'no' : 'more than one'} ${name}`)
  }
  return child
}

function timeOf(element: XmlElement, name: string): number | undefined {
  const text = attributeOf(element, name)
  if (text === undefined) return undefined
  const time = UTC.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw unusable(`its ${name} is ${shown(text)}, which is no time in UTC`)
  return time
}

function outOfTime(what: string): GatewayError {
  return refuse(
    1437,
    `what the sign-in provider sent ${what}. Sign in again; if it stays like this, the clocks of the provider and the gateway differ`,
  )
}

function unusable(why: string): GatewayError {
  return refuse(
    1438,
    `what the sign-in provider says about you cannot be used: ${why}. Ask the gateway's operator to compare its settings with the provider's`,
  )
}

function clockTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

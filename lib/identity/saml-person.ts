/**
 * From a verified assertion to a Person, by the same rules as from claims (claims.ts). PURE.
 */
import { checkHeaderSafe, checkName } from './names.ts'
import type { Validity } from './saml-assertion.ts'
import { ASSERTION, refuse, type SamlConfig } from './saml-terms.ts'
import type { Person } from './user.ts'
import { attributeOf, childrenOf, textOf, type XmlElement } from './xml.ts'

const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'
const TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'
const SCHEMA_INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance'
/** In place of the groups when there are over 150 of them (Microsoft Entra ID). */
const LINK_TO_GROUPS = 'http://schemas.microsoft.com/claims/groups.link'

/** @throws GatewayError Unauthorized */
export function personFromAssertion(
  assertion: XmlElement,
  config: SamlConfig,
  validity: Validity,
): { person: Person; nameId: string } {
  const nameIdElement = nameIdOf(assertion)
  const nameId = textOf(nameIdElement)
  if (nameIdElement === undefined || nameId === undefined || nameId === '') {
    throw refuse(
      1438,
      'the sign-in provider does not say who you are: its assertion has no NameID. Ask the admin of the provider to send one',
    )
  }
  const format = attributeOf(nameIdElement, 'Format')
  const attributes = attributesOf(assertion)
  refuseLinkToGroups(attributes)
  const username =
    config.usernameAttribute === undefined
      ? lastingName(nameId, format)
      : onlyValue(attributes, config.usernameAttribute)
  const { acr, authenticatedAt } = validity
  const person: Person = {
    username: checkName('user name', config.usernamePrefix + username),
    // Core 8.3.7: made to stay the same when a person is renamed.
    ...(format === PERSISTENT ? { uid: checkHeaderSafe('NameID', nameId) } : {}),
    groups: groupsOf(attributes, config),
    extra: extraOf(attributes, config.extraAttributes ?? {}),
    issuer: config.entityId,
    signIn: { at: authenticatedAt, ...(acr === undefined ? {} : { acr }), amr: [] },
  }
  return { person, nameId }
}

function nameIdOf(assertion: XmlElement): XmlElement | undefined {
  const found = childrenOf(assertion, ASSERTION, 'Subject').flatMap((subject) =>
    childrenOf(subject, ASSERTION, 'NameID'),
  )
  return found.length === 1 ? found[0] : undefined
}

/** Core 8.3.8: a transient name is another one with each sign-in, and may come to name another. */
function lastingName(nameId: string, format: string | undefined): string {
  if (format !== TRANSIENT) return nameId
  throw refuse(
    1438,
    "the sign-in provider sends a name for you that changes each time (a transient NameID). Ask the provider's admin for a lasting one, such as the e-mail address",
  )
}

type Attributes = ReadonlyMap<string, readonly XmlElement[]>

/** The values of each attribute, from wherever in the assertion it is told. */
function attributesOf(assertion: XmlElement): Attributes {
  const attributes = new Map<string, XmlElement[]>()
  for (const statement of childrenOf(assertion, ASSERTION, 'AttributeStatement')) {
    for (const attribute of childrenOf(statement, ASSERTION, 'Attribute')) {
      const name = attributeOf(attribute, 'Name') ?? ''
      const values = childrenOf(attribute, ASSERTION, 'AttributeValue').filter(isSaid)
      attributes.set(name, [...(attributes.get(name) ?? []), ...values])
    }
  }
  return attributes
}

function isSaid(value: XmlElement): boolean {
  return !value.attributes.some(
    ({ localName, namespace, value: text }) =>
      localName === 'nil' && namespace === SCHEMA_INSTANCE && (text === 'true' || text === '1'),
  )
}

function valuesOf(attributes: Attributes, name: string): string[] {
  return (attributes.get(name) ?? []).map((value) => {
    const text = textOf(value)
    if (text === undefined || text === '') {
      throw refuse(
        1438,
        `the sign-in provider sent an attribute "${name}" that is empty or no text`,
      )
    }
    return text
  })
}

function onlyValue(attributes: Attributes, name: string): string {
  const [value, ...others] = valuesOf(attributes, name)
  if (value !== undefined && others.length === 0) return value
  throw refuse(
    1438,
    `the sign-in provider did not send the attribute "${name}" with one value, which names you here. Ask the gateway's operator which attribute that should be`,
  )
}

function groupsOf(attributes: Attributes, config: SamlConfig): string[] {
  const groups = valuesOf(attributes, config.groupsAttribute).map((group) =>
    checkName('group', config.groupsPrefix + group),
  )
  return [...new Set(groups)]
}

function extraOf(
  attributes: Attributes,
  extraAttributes: Readonly<Record<string, string>>,
): Record<string, string[]> {
  const extra: Record<string, string[]> = {}
  for (const [key, name] of Object.entries(extraAttributes)) {
    const values = valuesOf(attributes, name).map((value) =>
      checkHeaderSafe(`attribute "${name}"`, value),
    )
    if (values.length > 0) extra[key] = values
  }
  return extra
}

/** As with claims: to take "no groups" as the truth would make rules that deny a group blind. */
function refuseLinkToGroups(attributes: Attributes): void {
  if (!attributes.has(LINK_TO_GROUPS)) return
  throw refuse(
    1409,
    `the sign-in provider left your groups out because they are too many; ask the gateway's operator to send only the groups assigned to this application`,
  )
}

/**
 * The people of the sandbox. Their passwords are random, made anew with every sandbox, and the
 * only way in: there is no login without one.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

import { createCodeSecret } from './one-time-code.ts'

export interface Person {
  name: PersonName
  groups: readonly string[]
  password: string
  /** What the person's authenticator app makes one-time codes from, in Base32. */
  codeSecret: string
}

export type PersonName = 'ana' | 'bo' | 'cy' | 'dpo'

export const GROUPS_OF: Readonly<Record<PersonName, readonly string[]>> = {
  ana: ['dev'],
  bo: ['oncall'],
  cy: ['oncall'],
  dpo: ['privacy'],
}

export const PERSON_NAMES: readonly PersonName[] = ['ana', 'bo', 'cy', 'dpo']

export function createPeople(): Person[] {
  return PERSON_NAMES.map((name) => ({
    name,
    groups: GROUPS_OF[name],
    password: randomBytes(18).toString('base64url'),
    codeSecret: createCodeSecret(),
  }))
}

/** The person this name and password belong to. Takes the same time for a wrong name. */
export function findPerson(
  people: readonly Person[],
  name: string,
  password: string,
): Person | undefined {
  const person = people.find((candidate) => candidate.name === name)
  const expected = digest(person?.password ?? randomBytes(18).toString('base64url'))
  return timingSafeEqual(expected, digest(password)) ? person : undefined
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

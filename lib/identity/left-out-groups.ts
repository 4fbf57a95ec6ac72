/**
 * Groups that a provider leaves out of an ID token because they are too many, asked for at the one
 * address that the operator has named: `POST` with the person's access token, as Microsoft Graph's
 * `me/getMemberObjects` has it. The address that the token itself gives is never called.
 */
import { readFile } from 'node:fs/promises'

import { errorText, GatewayError } from '../errors/gateway-error.ts'
import { createHttpsFetch } from '../https/https-fetch.ts'
import type { Claims } from './claims.ts'

export interface GroupsEndpoint {
  url: string
  /** PEM file; replaces the system's trust. */
  caFile?: string | undefined
}

const TIMEOUT_MS = 10_000
/** Each is a header of every request to the API server. */
const MAX_GROUPS = 2000

/**
 * Core 5.6.2: `_claim_names` points elsewhere. Entra says it in two more ways, each a claim that is
 * there only then.
 */
export function leavesGroupsOut(claims: Claims, groupsClaim: string): boolean {
  const names = claims['_claim_names']
  const isElsewhere = typeof names === 'object' && names !== null && groupsClaim in names
  return isElsewhere || (claims['hasgroups'] ?? false) !== false || `${groupsClaim}:src1` in claims
}

/** The claims as they would be with all groups in them. @throws GatewayError ServiceUnavailable */
export async function withLeftOutGroups(
  claims: Claims,
  groupsClaim: string,
  endpoint: GroupsEndpoint,
  accessToken: string,
): Promise<Claims> {
  const { _claim_names: _names, hasgroups: _has, ...rest } = claims
  delete rest[`${groupsClaim}:src1`]
  return { ...rest, [groupsClaim]: await askForGroups(endpoint, accessToken) }
}

async function askForGroups(endpoint: GroupsEndpoint, accessToken: string): Promise<string[]> {
  try {
    const { url, caFile } = endpoint
    const ca = caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }
    const answer = await createHttpsFetch(ca)(url, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${accessToken}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ securityEnabledOnly: true }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`)
    return groupsIn(await answer.json())
  } catch (error) {
    throw new GatewayError(
      'ServiceUnavailable',
      'the sign-in provider left your groups out, and the place to ask for them does not give them; try again in a moment',
      { id: 1419, cause: new Error(`${endpoint.url}: ${errorText(error)}`, { cause: error }) },
    )
  }
}

/** All or nothing: with a part of them a rule that denies a group would be blind. */
function groupsIn(answer: unknown): string[] {
  const { value, '@odata.nextLink': more } = (answer ?? {}) as Record<string, unknown>
  if (more !== undefined) throw new Error('it gave only a part of the groups')
  if (!Array.isArray(value) || !value.every((group) => typeof group === 'string')) {
    throw new Error('it did not answer a list of names')
  }
  if (value.length > MAX_GROUPS) throw new Error(`these are more than ${MAX_GROUPS} groups`)
  return value
}

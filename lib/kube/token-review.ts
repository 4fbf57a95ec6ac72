/**
 * Asks the API server whose token this is (TokenReview, authentication.k8s.io/v1), with the
 * gateway's own rights.
 *
 * What comes back is taken for as much as it proves: a server that knows nothing of audiences
 * leaves `status.audiences` out, and then the token may be for anybody (k8s.io/api
 * authentication/v1 TokenReviewStatus).
 */
import { isObject, isTexts } from '../api/json-object.ts'
import type { ApiClient } from './api-client.ts'

export interface ReviewedToken {
  username: string
  uid?: string
  groups: string[]
  extra: Record<string, string[]>
}

interface ReviewAnswer {
  status?: { authenticated?: unknown; audiences?: unknown; user?: unknown }
}

/**
 * undefined: the token is good for none of the audiences, or not at all.
 *
 * @throws UpstreamStatusError, or GatewayError when unreachable
 */
export async function reviewToken(
  client: Pick<ApiClient, 'request'>,
  token: string,
  audiences: readonly string[],
  signal: AbortSignal,
): Promise<ReviewedToken | undefined> {
  const { status } = await client.request<ReviewAnswer>(
    'POST',
    '/apis/authentication.k8s.io/v1/tokenreviews',
    {
      signal,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, audiences },
      },
    },
  )
  if (status?.authenticated !== true) return undefined
  const confirmed = isTexts(status.audiences) ? status.audiences : []
  if (!confirmed.some((audience) => audiences.includes(audience))) return undefined
  return readUser(status.user)
}

function readUser(user: unknown): ReviewedToken | undefined {
  if (!isObject(user)) return undefined
  const { username, uid, groups = [], extra = {} } = user
  if (typeof username !== 'string' || !isTexts(groups) || !isObject(extra)) return undefined
  const texts = Object.entries(extra).filter((entry): entry is [string, string[]] =>
    isTexts(entry[1]),
  )
  return {
    username,
    groups,
    extra: Object.fromEntries(texts),
    ...(typeof uid === 'string' && uid !== '' ? { uid } : {}),
  }
}

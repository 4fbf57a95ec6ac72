import { asGatewayError } from '../errors/gateway-error.ts'
import type { Status } from '../errors/status.ts'
import { UpstreamStatusError } from '../kube/api-client.ts'

/** What a person is told: the API server's own words where it said any. `doing`: for the log. */
export function statusOf(error: unknown, doing: string): Status {
  if (UpstreamStatusError.is(error))
    return { ...error.status, code: error.status.code ?? error.httpCode }
  return asGatewayError(error, doing).toStatus()
}

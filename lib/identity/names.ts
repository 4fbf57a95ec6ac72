/**
 * Names of people and groups, whoever says them. PURE.
 *
 * They end up in `Impersonate-*` headers (I4), so a name that a header would change is refused: Go
 * trims white space around a header value, so a group " system:masters" would arrive as
 * "system:masters".
 */
import { GatewayError } from '../errors/gateway-error.ts'

/** Printable ASCII, nothing around it: what a header carries to the API server unchanged. */
const HEADER_SAFE = /^[!-~](?:[ -~]*[!-~])?$/

/** @throws GatewayError Unauthorized */
export function checkHeaderSafe(what: string, name: string): string {
  if (!HEADER_SAFE.test(name)) {
    throw refuse(
      1408,
      `the ${what} ${JSON.stringify(printable(name))} cannot be used: only printable ASCII without white space around it is allowed`,
    )
  }
  return name
}

/** @throws GatewayError Unauthorized */
export function checkName(what: string, name: string): string {
  checkHeaderSafe(what, name)
  // `system:` is Kubernetes' own: system:masters passes every check of the API server.
  if (name.toLowerCase().startsWith('system:')) {
    throw refuse(
      1408,
      `the ${what} ${JSON.stringify(printable(name))} is refused: names that start with "system:" belong to Kubernetes`,
    )
  }
  return name
}

function printable(name: string): string {
  return name.replace(/[^ -~]/gu, '?').slice(0, 80)
}

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}

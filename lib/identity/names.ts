/**
 * Names of people and groups, whoever says them. PURE.
 *
 * They end up in `Impersonate-*` headers (I4), so a name that a header would change is refused.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import { isHeaderSafe } from '../kube/header-safe.ts'

/** @throws GatewayError Unauthorized */
export function checkHeaderSafe(what: string, name: string): string {
  if (!isHeaderSafe(name)) {
    throw refuse(
      1408,
      `the ${what} ${shown(name)} cannot be used: only printable ASCII without white space around it is allowed`,
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
      `the ${what} ${shown(name)} is refused: names that start with "system:" belong to Kubernetes`,
    )
  }
  return name
}

/** A value that somebody sent, so that it can be shown: short, and plain ASCII. */
export function shown(value: string): string {
  return JSON.stringify(value.replace(/[^ -~]/gu, '?').slice(0, 80))
}

function refuse(id: number, message: string): GatewayError {
  return new GatewayError('Unauthorized', message, { id })
}

/**
 * What the API server may hear about who somebody is (I4): written down here a second time, so that
 * the gateway is not measured by its own code.
 */
import type { User } from '../../../lib/identity/user.ts'

const SESSION = 'impersonate-extra-podgate.dev%2fsession'
const SESSION_ID = /^s-[0-9a-hjkmnp-tv-z]{25}$/

/**
 * The lines that say who a verified caller is, sorted, each of them exactly once; names in lower case.
 *
 * @param marked with the mark of a session, as what is sent within one
 */
export function identityLines(user: User, marked: boolean = false): string[] {
  return [
    'authorization: Bearer of-the-gateway',
    `impersonate-user: ${user.username}`,
    ...(user.uid === undefined ? [] : [`impersonate-uid: ${user.uid}`]),
    ...user.groups.map((group) => `impersonate-group: ${group}`),
    ...Object.entries(user.extra).flatMap(([key, values]) =>
      values.map((value) => `impersonate-extra-${key.replaceAll('/', '%2f')}: ${value}`),
    ),
    `impersonate-extra-podgate.dev%2fissuer: ${user.issuer}`,
    `impersonate-extra-podgate.dev%2ftoken-id: ${user.credential.id}`,
    ...(marked ? [`${SESSION}: <session>`] : []),
  ].sort()
}

const ANYTHING = /^/
/** What no server takes for an identity, while its value is such; everything else is suspect. */
const HARMLESS: ReadonlyMap<string, RegExp> = new Map([
  ...[
    'accept',
    'accept-encoding',
    'accept-language',
    'cache-control',
    'content-disposition',
    'content-encoding',
    'content-language',
    'content-type',
    'host',
    'if-match',
    'if-modified-since',
    'if-none-match',
    'if-range',
    'if-unmodified-since',
    'kubectl-command',
    'kubectl-session',
    'last-event-id',
    'pragma',
    'range',
    'sec-websocket-key',
    'user-agent',
    'x-requested-with',
  ].map((name): [string, RegExp] => [name, ANYTHING]),
  ['connection', /^(?:keep-alive|close|Upgrade)$/],
  ['content-length', /^\d+$/],
  ['sec-websocket-protocol', /^v5\.channel\.k8s\.io$/],
  ['sec-websocket-version', /^13$/],
  ['transfer-encoding', /^chunked$/],
  ['upgrade', /^(?:SPDY\/3\.1|websocket)$/],
  ['x-stream-protocol-version', /^(?:v4\.channel|portforward)\.k8s\.io$/],
])

/** @param headers `name: value`, names in lower case */
export function speakingOfIdentity(headers: readonly string[]): string[] {
  return headers
    .filter((line) => {
      const colon = line.indexOf(': ')
      return HARMLESS.get(line.slice(0, colon))?.test(line.slice(colon + 2)) !== true
    })
    .map((line) => {
      const isMark = line.startsWith(`${SESSION}: `) && SESSION_ID.test(line.slice(-27))
      return isMark ? `${SESSION}: <session>` : line
    })
    .sort()
}

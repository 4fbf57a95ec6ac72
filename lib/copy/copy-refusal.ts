/** Refusals of copies in words: what was refused, why, and what to do. */
import { GatewayError } from '../errors/gateway-error.ts'
import { quotePath } from './quote-path.ts'
import type { CopyCommand } from './recognise-copy.ts'
import type { TarViolation } from './tar-violation.ts'

/** More would not fit into a Status that kubectl shows whole. */
const MAX_LISTED = 5
const MAX_PATTERN = 60

export type CopyDirection = 'Download' | 'Upload'

export function directionOf({ kind }: CopyCommand): CopyDirection {
  return kind === 'Download' ? 'Download' : 'Upload'
}

const WORDS = { Download: 'copying from the container', Upload: 'copying into the container' }

/** The rules of a policy do not allow it. `why` follows a "because", `advice` is a sentence. */
export function copyNotAllowed(
  direction: CopyDirection,
  path: string | undefined,
  why: string,
  advice: string,
): GatewayError {
  const what = path === undefined ? '' : ` ${quotePath(path)}`
  return new GatewayError(
    'Forbidden',
    `${WORDS[direction]}${what} is refused, because ${why}. ${advice}`,
    { id: 1040 },
  )
}

/** The stream is no archive that can be read; the copy has to end, since nothing more is known. */
export function tarUnreadable(direction: CopyDirection, violation: TarViolation): GatewayError {
  return new GatewayError(
    'BadRequest',
    `${WORDS[direction]} was stopped, because its tar stream cannot be read: ${violation.message}. ` +
      'Run the copy again; if it stays, copy smaller parts, to find the file that causes it',
    { id: 1041, cause: violation },
  )
}

/** `the policy allows only "/data/**" and "/tmp/*"`. */
export function onlyPaths(patterns: readonly string[]): string {
  if (patterns.length === 0) return 'the policies allow no path at all'
  const shown = patterns.slice(0, MAX_LISTED).map((pattern) => {
    const characters = Array.from(pattern)
    const cut = characters.length > MAX_PATTERN
    return quotePath(cut ? `${characters.slice(0, MAX_PATTERN).join('')}…` : pattern)
  })
  const more = patterns.length - shown.length
  return `the policy allows only ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

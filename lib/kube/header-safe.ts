/** What a header carries to the API server unchanged. PURE. */

/**
 * Visible ASCII and inner spaces. Go trims white space around a header value, so a group
 * " system:masters" would arrive as "system:masters".
 */
const HEADER_SAFE = /^[!-~](?:[ -~]*[!-~])?$/

export function isHeaderSafe(value: string): boolean {
  return HEADER_SAFE.test(value)
}

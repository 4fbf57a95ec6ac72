/** What Express itself has against a request. PURE. */

/** About a path like /%zz, or a body: the client's fault, and told by its `status`. */
export function isUnreadableRequest(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('status' in error)) return false
  return typeof error.status === 'number' && error.status >= 400 && error.status < 500
}

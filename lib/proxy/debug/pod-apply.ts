/** Server-side apply of a pod makes one where there is none: a second road to creating pods. PURE. */
import type { RequestInfo } from '../request-info.ts'

/**
 * The API server cuts the type at the first `;` and compares the rest letter by letter
 * (k8s.io/apiserver endpoints/handlers/patch.go). Whatever looks like apply is taken for it here.
 */
export function isPodApply(info: RequestInfo, contentType: string | undefined): boolean {
  const { method, apiGroup, resource, name, subresource } = info
  return (
    method === 'PATCH' &&
    apiGroup === '' &&
    resource === 'pods' &&
    name !== undefined &&
    subresource === undefined &&
    (contentType ?? '').toLowerCase().includes('apply')
  )
}

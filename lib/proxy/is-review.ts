/** Whether somebody asks what they may (authorization.k8s.io SelfSubjectAccessReview). PURE. */
import type { RequestInfo } from './request-info.ts'

const GROUP = 'authorization.k8s.io'
const RESOURCE = 'selfsubjectaccessreviews'

export function isReview({ method, apiGroup, resource, name }: RequestInfo): boolean {
  return method === 'POST' && apiGroup === GROUP && resource === RESOURCE && name === undefined
}

/**
 * The words Kubernetes uses for a refusal: `metav1.Status`.
 *
 * May import: nothing of ours.
 */

/** Reasons we answer with and the HTTP code that belongs to each (k8s.io/apimachinery pkg/api/errors). */
export const STATUS_CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  Conflict: 409,
  RequestEntityTooLarge: 413,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  BadGateway: 502,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const

export type StatusReason = keyof typeof STATUS_CODES

export interface StatusCause {
  reason?: string
  message?: string
  field?: string
}

/** `metav1.Status`, as it travels in a response body and on the error stream. */
export interface Status {
  kind: 'Status'
  apiVersion: 'v1'
  metadata: Record<string, never>
  status: 'Success' | 'Failure'
  message?: string
  reason?: string
  details?: { name?: string; kind?: string; causes?: StatusCause[]; retryAfterSeconds?: number }
  code?: number
}

/** What the error stream carries after a command ended with exit code 0. */
export const SUCCESS_STATUS: Status = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
}

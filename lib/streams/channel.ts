/**
 * The channels of exec and attach, by their Kubernetes names and numbers.
 *
 * Source: k8s.io/apimachinery pkg/util/remotecommand/constants.go. PURE.
 * May import: errors.
 */

/** Channel byte of the WebSocket subprotocols v4 and v5. */
export const CHANNEL_ID = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  error: 3,
  resize: 4,
  close: 255,
} as const

/** Names of the SPDY `streamType` header, in the order the client creates them. */
export const STREAM_NAMES = ['error', 'stdin', 'stdout', 'stderr', 'resize'] as const

export type StreamName = (typeof STREAM_NAMES)[number]

/** Which channels a request asked for. `stderr` is never true together with `tty`. */
export interface StreamSet {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  tty: boolean
}

/** The channels to expect of a client that asked for `set`, `resize` only with a terminal. */
export function expectedStreams(set: StreamSet): StreamName[] {
  return STREAM_NAMES.filter((name) => {
    if (name === 'error') return true
    if (name === 'resize') return set.tty
    if (name === 'stderr') return set.stderr && !set.tty
    return set[name]
  })
}

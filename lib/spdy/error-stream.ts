/**
 * The bytes of the error stream in each remotecommand protocol. PURE.
 *
 * v4 carries the JSON of a metav1.Status; v2 and v3 carry the message as plain
 * text, and nothing at all on success (client-go tools/remotecommand/v2.go, v4.go).
 */
export function errorStreamBytes(protocol: string, status: Uint8Array): Uint8Array {
  if (status.length === 0 || protocol === 'v4.channel.k8s.io') return status
  const parsed = parseStatus(status)
  if (parsed === undefined) return status
  if (parsed.status === 'Success') return new Uint8Array(0)
  // An empty error stream would read as success.
  return Buffer.from(parsed.message === '' ? 'the command failed' : parsed.message)
}

function parseStatus(bytes: Uint8Array): { status: string; message: string } | undefined {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // Text already, from an upstream that speaks the old protocol: passed on as it is.
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { status, message } = value as { status?: unknown; message?: unknown }
  return {
    status: typeof status === 'string' ? status : '',
    message: typeof message === 'string' ? message : '',
  }
}

/** The words of `match.operations` in a policy: every way into a pod that the gateway decides on. */
export const OPERATIONS = [
  'Exec',
  'Attach',
  'PortForward',
  'Logs',
  'Copy',
  'Debug',
  'Proxy',
  'TokenRequest',
  'Impersonate',
] as const

export type Operation = (typeof OPERATIONS)[number]

/**
 * A session as the gateway would begin it.
 */
import { randomUUID } from 'node:crypto'

import type { SessionStart } from '../../lib/recording/session-document.ts'

export function sessionStart(overrides: Partial<SessionStart> = {}): SessionStart {
  return {
    id: `s-${randomUUID()}`,
    user: { username: 'ana', groups: ['dev'], uid: 'u-1', issuer: 'https://idp.test' },
    operation: 'Exec',
    target: {
      cluster: 'local',
      namespace: 'shop',
      pod: 'web-0',
      podUID: 'p-1',
      container: 'main',
      image: 'busybox',
    },
    command: ['sh', '-c', '$HOME "{ $ne: 1 }" \u0000 \u202e'],
    tty: true,
    stdin: true,
    content: 'Full',
    policies: [{ kind: 'AccessPolicy', namespace: 'shop', name: 'p', uid: 'u', digest: 'd' }],
    client: { address: '127.0.0.1', userAgent: 'kubectl/v1.34.4' },
    protocol: { client: 'WebSocket v5.channel.k8s.io' },
    startedAt: new Date('2026-11-22T10:00:00.123Z'),
    ...overrides,
  }
}

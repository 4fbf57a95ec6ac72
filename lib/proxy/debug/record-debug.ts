/** Nothing is made before the store has what it will be. */
import type { GatewayError } from '../../errors/gateway-error.ts'
import { eventEntry, type SessionEvent } from '../../recording/event.ts'
import type { CreatedTarget, SessionEnd } from '../../recording/session-document.ts'
import type { OpenedSession } from '../conduct-session.ts'

/** Resolves once the store has acknowledged. @throws GatewayError when it does not. */
export async function recordDebug(opened: OpenedSession, event: SessionEvent): Promise<void> {
  const stored = Promise.withResolvers<void>()
  opened.bind({
    onRelease: () => stored.resolve(),
    onFailure: (error: GatewayError) => stored.reject(error),
  })
  opened.recording.append(eventEntry(event, opened.elapsedMs()))
  await stored.promise
}

export function completed(created: CreatedTarget): SessionEnd {
  return {
    outcome: 'Completed',
    bytes: { stdin: 0, stdout: 0, stderr: 0 },
    masked: {},
    created,
    endedAt: new Date(),
  }
}

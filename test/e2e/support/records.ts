/** What was written down: by the gateway, and by the API server. */
import { readFile } from 'node:fs/promises'

import type { SessionDocument } from '../../../lib/recording/session-document.ts'
import type { Shop } from './shop.ts'

/** Newest first. */
export async function sessionsOf({ mongo, sandbox }: Shop): Promise<SessionDocument[]> {
  return await mongo
    .db(sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
    .find({})
    .sort({ startedAt: -1 })
    .toArray()
}

export interface AuditEvent {
  requestURI: string
  stage: string
  impersonatedUser?: { username: string; uid?: string; extra?: Record<string, string[]> }
}

export async function auditedBy({ sandbox }: Shop, uri: RegExp): Promise<AuditEvent[]> {
  const log = await readFile(sandbox.cluster.auditLog ?? '', 'utf8')
  return log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter(({ requestURI }) => uri.test(requestURI))
}

/** `.podgate/sandbox.json`: a stable interface for scripts and tests. All paths are absolute. */
import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'

import type { PersonName } from './people.ts'

export interface SandboxJson {
  gateway: { url: string; caFile: string }
  users: Record<PersonName, { kubeconfig: string }>
  /** Straight to the API server, with full rights. */
  admin: { kubeconfig: string }
  mongodb: { uri: string; database: string }
  oidc: { issuer: string }
  console: string
  metrics: string
  kubectl: string
  helm?: string
  containerdSocket?: string
}

/** It appears whole: whoever waits for the file can read it at once. */
export async function writeSandboxJson(file: string, json: SandboxJson): Promise<void> {
  const draft = `${file}.${randomUUID()}`
  // The address of a given MongoDB may hold its password.
  await writeFile(draft, `${JSON.stringify(json, null, 2)}\n`, { mode: 0o600 })
  await rename(draft, file)
}

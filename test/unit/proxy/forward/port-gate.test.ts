/** What a port-forward that is open may still do, as the sign-in it was opened with grows old. */
import { describe, expect, it } from '@jest/globals'

import type { AccessPolicy } from '../../../../lib/api/access-policy.generated.ts'
import { decide, type AdmitDeps } from '../../../../lib/proxy/admit.ts'
import { createPortGate, type PortGate } from '../../../../lib/proxy/forward/port-gate.ts'
import type { OpenedSession } from '../../../../lib/proxy/conduct-session.ts'
import { createMetrics } from '../../../../lib/telemetry/metrics.ts'
import { userNamed } from '../../../fakes/user.ts'
import { accessPolicy, compile } from '../../policy/fixtures.ts'

type Spec = Partial<AccessPolicy['spec']>

/** Years before these tests run: by the clock of today no sign-in of then is fresh. */
const OPENED = 1_000_000_000_000
const MINUTE = 60_000

const forwarding = (port: number, spec: Spec = {}): Spec => ({
  ...spec,
  match: { operations: ['PortForward'], ports: [port] },
})

interface Bed {
  gate: PortGate
  policies: AccessPolicy[]
}

/** A session that was opened at OPENED by the policies of then. */
function open(signedIn: number, policies: AccessPolicy[]): Bed {
  const bed = { policies: [...policies] }
  const deps: AdmitDeps = {
    client: {} as AdmitDeps['client'],
    policies: {
      current: () => bed.policies.map(compile),
      ageMs: () => 0,
      ready: () => Promise.resolve(),
      close: () => undefined,
    },
    metrics: createMetrics('test', () => 0),
  }
  const user = userNamed('ana', { groups: ['dev'], signIn: { at: signedIn, amr: [] } })
  const access = { operation: 'PortForward', namespace: 'shop' } as OpenedSession['access']
  const facts = { pod: 'web-0', labels: {}, container: '' } as OpenedSession['admission']['facts']
  const known = { facts, namespaceLabels: {}, decidedAt: OPENED }
  const decision = decide(deps, user, access, known)
  const admission = { ...known, operation: 'PortForward' as const, decision }
  const session = { user, access, admission } as OpenedSession
  const gate = createPortGate({
    deps,
    session,
    approve: () => Promise.reject(new Error('nobody is asked')),
  })
  return Object.assign(bed, { gate })
}

const FRESH = accessPolicy('db', forwarding(5432, { signIn: { maxAge: '15m' } }))

describe('a port that asks for a fresh sign-in', () => {
  it('stays open to a session that was opened while the sign-in was fresh', async () => {
    const { gate } = open(OPENED - 14 * MINUTE, [FRESH])
    await expect(gate.pass(5432)).resolves.toMatchObject({ policies: [{ name: 'db' }] })
  })

  it('is not reached by way of another port, for which the session could be opened', async () => {
    const { gate } = open(OPENED - 16 * MINUTE, [FRESH, accessPolicy('web', forwarding(80))])
    await expect(gate.pass(80)).resolves.toMatchObject({ policies: [{ name: 'web' }] })
    await expect(gate.pass(5432)).rejects.toMatchObject({ id: 1060 })
  })

  it('is closed to a session that is older than the demand and had no such sign-in', async () => {
    const bed = open(OPENED - 16 * MINUTE, [accessPolicy('db', forwarding(5432))])
    await expect(bed.gate.pass(5432)).resolves.toMatchObject({ policies: [{ name: 'db' }] })
    bed.policies = [FRESH]
    await expect(bed.gate.pass(5432)).rejects.toMatchObject({ id: 1060 })
  })
})

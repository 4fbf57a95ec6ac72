/**
 * Prometheus metrics of the gateway.
 *
 * No label holds a user, pod or namespace: those are unbounded and personal
 * (Kubernetes' instrumentation guide asks the same).
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

export interface Metrics {
  readonly registry: Registry
  readonly requests: Counter<'code' | 'kind'>
  readonly decisions: Counter<'decision' | 'operation'>
  readonly approvals: Counter<'result'>
  readonly approvalWaitSeconds: Histogram
  readonly sessionsActive: Gauge<'operation'>
  readonly sessionsEnded: Counter<'outcome'>
  readonly streamBytes: Counter<'channel'>
  readonly maskHits: Counter<'detector'>
  readonly openSeconds: Histogram
  readonly policyAgeSeconds: Gauge
}

export function createMetrics(version: string, policyAgeMs: () => number): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'podgate_build_info',
    help: 'Version of the running gateway; always 1.',
    labelNames: ['version'] as const,
    registers,
  }).set({ version }, 1)
  return {
    registry,
    requests: new Counter({
      name: 'podgate_requests_total',
      help: 'Requests answered, by HTTP code (101 for streams that were opened) and by kind: passThrough, exec, attach, copy, portForward, logs, debug, debugContainer, createPod, proxy, tokenRequest, impersonate, console, refused.',
      labelNames: ['code', 'kind'] as const,
      registers,
    }),
    decisions: new Counter({
      name: 'podgate_admission_decisions_total',
      help: 'Policy decisions, by decision (allow, deny, requireApproval) and operation.',
      labelNames: ['decision', 'operation'] as const,
      registers,
    }),
    approvals: new Counter({
      name: 'podgate_approvals_total',
      help: 'ApprovalRequests that came to an end, by result.',
      labelNames: ['result'] as const,
      registers,
    }),
    approvalWaitSeconds: new Histogram({
      name: 'podgate_approval_wait_seconds',
      help: 'How long terminals waited for a decision.',
      buckets: [1, 5, 15, 30, 60, 120, 300, 900, 3600],
      registers,
    }),
    sessionsActive: new Gauge({
      name: 'podgate_sessions_active',
      help: 'Sessions running now, by operation.',
      labelNames: ['operation'] as const,
      registers,
    }),
    sessionsEnded: new Counter({
      name: 'podgate_sessions_ended_total',
      help: 'Sessions that ended, by outcome in the transcript.',
      labelNames: ['outcome'] as const,
      registers,
    }),
    streamBytes: new Counter({
      name: 'podgate_stream_bytes_total',
      help: 'Bytes carried, by channel; of port-forward stdin is to the pod, stdout from it.',
      labelNames: ['channel'] as const,
      registers,
    }),
    maskHits: new Counter({
      name: 'podgate_mask_hits_total',
      help: 'Values masked in output, by detector or pattern name.',
      labelNames: ['detector'] as const,
      registers,
    }),
    openSeconds: new Histogram({
      name: 'podgate_session_open_seconds',
      help: 'From request to open stream or answer, without the wait for an approval.',
      buckets: [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    policyAgeSeconds: new Gauge({
      name: 'podgate_policy_age_seconds',
      help: 'Age of the policies decisions are made on; over 15 s new sessions are refused.',
      registers,
      collect() {
        this.set(policyAgeMs() / 1000)
      },
    }),
  }
}

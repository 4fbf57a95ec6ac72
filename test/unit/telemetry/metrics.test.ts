import { describe, expect, it } from '@jest/globals'

import { createMetrics } from '../../../lib/telemetry/metrics.ts'

interface Described {
  name: string
  help: string
  type: string
  values: { labels: Record<string, unknown> }[]
}

async function describeAll(): Promise<Described[]> {
  const { registry } = createMetrics('1.2.3', () => 4200)
  return (await registry.getMetricsAsJSON()) as unknown as Described[]
}

/** What the metric may be told apart by, used or not. */
function labelNames(metrics: ReturnType<typeof createMetrics>): Map<string, string[]> {
  const names = new Map<string, string[]>()
  for (const { name } of metrics.registry.getMetricsAsArray()) {
    const metric = metrics.registry.getSingleMetric(name) as unknown as { labelNames?: string[] }
    names.set(name, metric.labelNames ?? [])
  }
  return names
}

describe('metrics', () => {
  it('are told apart by nothing that is unbounded or personal', () => {
    const allowed = new Set([
      'code',
      'kind',
      'decision',
      'operation',
      'result',
      'outcome',
      'channel',
      'detector',
      'version',
    ])
    for (const [name, labels] of labelNames(createMetrics('1', () => 0))) {
      if (!name.startsWith('podgate_')) continue
      expect([name, labels.filter((label) => !allowed.has(label))]).toEqual([name, []])
    }
  })

  it('each have a name with its unit and a sentence that explains it', async () => {
    const ours = (await describeAll()).filter(({ name }) => name.startsWith('podgate_'))
    expect(ours.length).toBeGreaterThanOrEqual(11)
    for (const { name, help, type } of ours) {
      expect(name).toMatch(/^podgate_[a-z_]+$/)
      expect(help).toMatch(/^[A-Z].*\.$/)
      if (type === 'counter') expect(name).toMatch(/_total$/)
      if (type === 'histogram') expect(name).toMatch(/_seconds$/)
    }
  })

  it('tell the age of the policies as it is when they are asked for', async () => {
    let age = 1000
    const { registry } = createMetrics('1', () => age)
    expect(await registry.metrics()).toContain('podgate_policy_age_seconds 1\n')
    age = 16_000
    expect(await registry.metrics()).toContain('podgate_policy_age_seconds 16\n')
    age = Infinity
    expect(await registry.metrics()).toContain('podgate_policy_age_seconds +Inf\n')
  })

  it('name the version that runs', async () => {
    const { registry } = createMetrics('1.2.3', () => 0)
    expect(await registry.metrics()).toContain('podgate_build_info{version="1.2.3"} 1\n')
  })

  it('of two gateways in one process are apart', async () => {
    const first = createMetrics('1', () => 0)
    const second = createMetrics('1', () => 0)
    first.approvals.inc({ result: 'Approved' })
    expect(await second.registry.metrics()).not.toContain('result="Approved"')
  })
})

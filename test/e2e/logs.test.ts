/** kubectl logs against a real kubelet: the same as direct, masked and recorded. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { kubectlVersion } from '../../lib/cluster/kubectl-versions.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { COLD_START_MS, eventually, openShop, pendingRequests, type Shop } from './support/shop.ts'
import type { Kubectl, RunResult } from './support/kubectl.ts'

let shop: Shop
const programs: Record<string, Kubectl> = {}

interface Written {
  name: string
  app?: string
  /** Shell programs by the name of their container. */
  containers: Record<string, string>
  init?: string
  restart?: 'Never' | 'Always'
  /** Its log does not change any more. */
  still?: boolean
}

function podOf({
  name,
  app = 'logs',
  containers,
  init,
  restart = 'Never',
  still = false,
}: Written): object {
  const container = (of: string, program: string): object => ({
    name: of,
    image: shop.sandbox.cluster.demoImage,
    imagePullPolicy: 'IfNotPresent',
    command: ['sh', '-c', program],
  })
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels: { app, still: String(still) } },
    spec: {
      restartPolicy: restart,
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      ...(init === undefined ? {} : { initContainers: [container('init', init)] }),
      containers: Object.entries(containers).map(([of, program]) => container(of, program)),
    },
  }
}

function policyOf(name: string, app: string, spec: object = {}): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: 'shop' },
    spec: {
      effect: 'Allow',
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: { operations: ['Logs'], podSelector: { matchLabels: { app } } },
      ...spec,
    },
  }
}

const POLICIES = [
  policyOf('e2e-logs', 'logs'),
  policyOf('e2e-mask', 'mask', { masking: { detectors: ['Email'] } }),
  policyOf('e2e-full', 'full', {
    masking: { detectors: ['Email'] },
    recording: { content: 'Full' },
  }),
  policyOf('e2e-ask', 'ask', {
    approval: { mode: 'Session', approvers: [{ kind: 'Group', name: 'oncall' }] },
  }),
]

const COUNT =
  'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i of the log; done; echo to stderr >&2'
const TICK =
  'trap "exit 0" TERM; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.4 & wait $!; done'
const MAIL = 'echo customer alice@example.com has ordered'

const PODS: Written[] = [
  { name: 'ended-0', containers: { main: COUNT }, init: 'echo prepared', still: true },
  { name: 'ticking-0', containers: { main: TICK } },
  { name: 'many-0', containers: { one: 'echo from one', two: 'echo from two' }, still: true },
  {
    name: 'crash-0',
    containers: { main: 'echo run of $(cat /proc/uptime); sleep 1' },
    restart: 'Always',
  },
  { name: 'mask-0', app: 'mask', containers: { main: MAIL } },
  { name: 'full-0', app: 'full', containers: { main: MAIL } },
  { name: 'ask-0', app: 'ask', containers: { main: MAIL } },
]

async function waitFor(pod: string, condition: string): Promise<void> {
  const result = await shop.admin([
    'wait',
    '-n',
    'shop',
    `pod/${pod}`,
    `--for=${condition}`,
    '--timeout=90s',
  ])
  if (result.code !== 0) throw new Error(result.stderr)
}

beforeAll(async () => {
  shop = await openShop()
  programs['1.34'] = shop.ana
  programs['1.29'] = shop.kubectl(await kubectlVersion('1.29'), 'ana')
  programs['1.35'] = shop.kubectl(await kubectlVersion('1.35'), 'ana')
  for (const object of [...POLICIES, ...PODS.map(podOf)]) await shop.apply(object)
  const ended = ['ended-0', 'many-0', 'mask-0', 'full-0', 'ask-0']
  await Promise.all([
    ...ended.map((pod) => waitFor(pod, 'jsonpath={.status.phase}=Succeeded')),
    waitFor('ticking-0', 'condition=Ready'),
    waitFor('crash-0', 'jsonpath={.status.containerStatuses[0].restartCount}=1'),
  ])
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

const LOGS = ['-n', 'shop', 'logs']

/** Straight to the API server. */
async function direct(args: string[]): Promise<RunResult> {
  return await shop.admin([...LOGS, ...args])
}

function kubectl(version: string): Kubectl {
  const program = programs[version]
  if (program === undefined) throw new Error(version)
  return program
}

async function recordOf(pod: string, since: Date): Promise<SessionDocument> {
  const sessions = shop.mongo
    .db(shop.sandbox.json.mongodb.database)
    .collection<SessionDocument>('sessions')
  return await eventually('a sealed record', async () => {
    const [newest] = await sessions
      .find({ operation: 'Logs', 'target.pod': pod, startedAt: { $gte: since } })
      .sort({ startedAt: -1 })
      .limit(1)
      .toArray()
    return newest?.end === null ? undefined : newest
  })
}

/** kubectl takes several containers in any order; what it shows of each says whose it is. */
function sorted(log: string): string {
  return log.startsWith('[pod/') ? log.split('\n').sort().join('\n') : log
}

describe.each(['1.34', '1.29', '1.35'])('kubectl %s logs', (version) => {
  it.each([
    ['a whole log', ['ended-0']],
    ['the end', ['ended-0', '--tail=5']],
    ['nothing of the end', ['ended-0', '--tail=0']],
    ['the last hour', ['ended-0', '--since=1h']],
    ['a time to come', ['ended-0', '--since-time=2099-01-01T00:00:00Z']],
    ['times before the lines', ['ended-0', '--timestamps', '--tail=20']],
    ['so many bytes', ['ended-0', '--limit-bytes=100']],
    ['an init container', ['ended-0', '-c', 'init']],
    ['one container of two', ['many-0', '-c', 'two']],
    ['all containers', ['many-0', '--all-containers', '--prefix']],
    ['a default container, with its note', ['many-0']],
    ['pods of a label', ['-l', 'still=true', '--tail=3', '--all-containers', '--prefix']],
    ['following to the end', ['-f', 'ended-0', '--tail=3']],
    ['a pod that is not there', ['nobody-0']],
    ['a container that is not there', ['many-0', '-c', 'nope']],
    ['a run that never was', ['ended-0', '--previous']],
    ['a number that makes no sense', ['ended-0', '--limit-bytes=-1']],
  ])('%s: the same as direct', async (_name, args) => {
    const [through, straight] = await Promise.all([
      kubectl(version)([...LOGS, ...args]),
      direct(args),
    ])
    const words = through.stderr.replaceAll(/ \[PODGATE-\d+\]/g, '')
    expect([through.code, sorted(through.stdout)]).toEqual([straight.code, sorted(straight.stdout)])
    // Its own wording differs from version to version.
    if (version === '1.34') expect(words).toBe(straight.stderr)
  })

  it('shows lines as they are written, until Ctrl-C', async () => {
    const startedAt = new Date()
    const arrivals: number[] = []
    const result = await kubectl(version)([...LOGS, '-f', 'ticking-0', '--tail=1'], {
      onOutput: (text, child) => {
        arrivals.push(performance.now())
        if (text.split('\n').length > 4) child.kill('SIGINT')
      },
    })
    expect(result.stdout).toMatch(/^(?:tick \d+\n){4,}$/)
    const spread = (arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)
    expect(spread).toBeGreaterThan(600)
    const record = await recordOf('ticking-0', startedAt)
    expect(record).toMatchObject({
      command: ['--follow', '--tail=1'],
      end: { outcome: 'Completed', message: 'the client stopped following' },
    })
  })
})

it('the log of the run before', async () => {
  // While it starts anew the node has neither the one run nor the other, and says so.
  const text = await eventually('a run before', async () => {
    const { code, stdout } = await shop.ana([...LOGS, 'crash-0', '--previous'])
    return code === 0 && stdout.startsWith('run of') && stdout
  })
  expect(text).toMatch(/^run of [\d. ]+\n$/)
})

it('the demo: its pods may be read by developers, masked', async () => {
  const result = await eventually('a line', async () => {
    const log = await shop.ana([...LOGS, 'web-0'])
    expect(log.code).toBe(0)
    return log.stdout.includes('INFO order=') && log
  })
  expect(result.stdout).not.toMatch(/@|4111|CUST-/)
  expect((await shop.ana([...LOGS, 'ledger-0'])).stderr).toContain('PODGATE-1002')
})

describe('the record', () => {
  it('of a log has the digest of what was shown, and no more', async () => {
    const startedAt = new Date()
    const shown = await shop.ana([...LOGS, 'mask-0'])
    expect(shown.stdout).toBe(`customer ${'*'.repeat(17)} has ordered\n`)
    const record = await recordOf('mask-0', startedAt)
    expect(record).toMatchObject({
      content: 'Digest',
      user: { username: 'ana' },
      policies: [{ name: 'e2e-mask' }],
      end: { outcome: 'Completed', masked: [{ name: 'Email', count: 1 }] },
    })
    const replay = await shop.podgate('dpo', ['replay', record._id])
    expect(replay).toMatchObject({ code: 0, stdout: '' })
    expect(replay.stderr).toContain(shown.sha256)
    expect(replay.stderr).toContain('was not kept')
  })

  it('is the log itself where a policy says so', async () => {
    const startedAt = new Date()
    const shown = await shop.ana([...LOGS, 'full-0'])
    const record = await recordOf('full-0', startedAt)
    const replay = await shop.podgate('dpo', ['replay', record._id, '--no-timing'])
    expect(replay).toMatchObject({ code: 0, stdout: shown.stdout })
    expect(shown.stdout).toContain('*'.repeat(17))
  })

  it('is listed as what it was', async () => {
    await shop.ana([...LOGS, 'mask-0', '--tail=1'])
    const list = await shop.podgate('dpo', ['sessions', '--pod=mask-0', '-o', 'wide'])
    expect(list.stdout).toMatch(/mask-0 +logs --tail=1 +Completed/)
  })
})

it('waits for approval where a policy demands it', async () => {
  const first = await shop.ana([...LOGS, 'ask-0'])
  expect(first.code).toBe(1)
  expect(first.stderr).toMatch(/needs approval by group oncall: .*kubectl wait .*PODGATE-1004/)
  const [name = ''] = await pendingRequests(shop)
  const approved = await shop.approve('bo', [name, '--reason', 'INC-7', '-n', 'shop'])
  expect(approved.stderr + approved.stdout).toContain(name)
  const second = await shop.ana([...LOGS, 'ask-0'])
  expect(second).toMatchObject({ code: 0, stdout: 'customer alice@example.com has ordered\n' })
})

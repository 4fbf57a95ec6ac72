/** LIST of many pods: the ordinary API, passed through. */
import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, get as httpsGet } from 'node:https'

import { runKubectl } from '../../lib/sandbox/run-kubectl.ts'
import type { Bed } from './bed.ts'
import { CROWD, CROWD_NAMESPACE, crowdManifest } from './manifests.ts'
import { type Findings, Notebook } from './measurement.ts'
import type { Route } from './routes.ts'

const PATH = `/api/v1/namespaces/${CROWD_NAMESPACE}/pods?limit=${CROWD}`
const PATIENCE_MS = 180_000
const WARM_UP = 3
const WHAT = `LIST of ${CROWD} pods, JSON`

async function body(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of response as AsyncIterable<Buffer>) parts.push(part)
  const text = Buffer.concat(parts).toString('utf8')
  if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode ?? 0} ${text}`)
  return text
}

function listing(route: Route): { fetch(): Promise<string>; close(): void } {
  const secure = route.url.startsWith('https:')
  const agent = secure ? new HttpsAgent({ keepAlive: true, ...route.tls }) : undefined
  const plain = new HttpAgent({ keepAlive: true })
  const headers = { ...route.headers, accept: 'application/json' }
  const fetch = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const onResponse = (response: IncomingMessage): void => {
        body(response).then(resolve, reject)
      }
      const url = `${route.url}${PATH}`
      const request =
        agent === undefined
          ? httpGet(url, { agent: plain, headers }, onResponse)
          : httpsGet(url, { agent, headers }, onResponse)
      request.on('error', reject)
    })
  return {
    fetch,
    close() {
      agent?.destroy()
      plain.destroy()
    },
  }
}

function assertWhole(route: Route, text: string): void {
  const { items } = JSON.parse(text) as { items?: unknown[] }
  if (items?.length !== CROWD) {
    throw new Error(`${route.name}: ${items?.length ?? 0} of ${CROWD} pods listed`)
  }
}

export async function measureList(bed: Bed, times: number): Promise<Findings> {
  const notes = new Notebook('list')
  const { admin, sandbox, routes } = bed
  const input = crowdManifest(sandbox.cluster.demoImage)
  await runKubectl(['create', '-f', '-'], { ...admin, input, timeoutMs: PATIENCE_MS })
  // Until the scheduler has said of each that it fits nowhere, the list grows.
  const settled = ['wait', 'pod', '--all', '-n', CROWD_NAMESPACE, '--timeout=120s']
  await runKubectl([...settled, '--for=condition=PodScheduled=false'], {
    ...admin,
    timeoutMs: PATIENCE_MS,
  })
  const lanes = routes.all.map((route) => ({ route, ...listing(route) }))
  try {
    for (let turn = -WARM_UP; turn < times; turn += 1) {
      for (const { route, fetch } of lanes) {
        const begin = performance.now()
        const text = await fetch()
        const ms = performance.now() - begin
        if (turn < 0) assertWhole(route, text)
        else notes.of(route.name, WHAT, 'ms').push(ms)
      }
    }
  } finally {
    for (const lane of lanes) lane.close()
    // Waits until they are gone: five hundred pods being deleted would slow down what comes next.
    const remove = ['delete', 'namespace', CROWD_NAMESPACE]
    await runKubectl(remove, { ...admin, timeoutMs: PATIENCE_MS })
  }
  return { series: notes.series, bars: [] }
}

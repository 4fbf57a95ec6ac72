/** `kubectl port-forward` to a web server in the pod: one large answer, and many small ones. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { createInterface } from 'node:readline'

import { runKubectl } from '../../lib/sandbox/run-kubectl.ts'
import type { Bed } from './bed.ts'
import { measureRuns, ofKubectlProxy, putText, type BulkOptions } from './bulk.ts'
import { NAMESPACE, PLAIN_POD } from './manifests.ts'
import { atLeast, type Findings, Notebook } from './measurement.ts'
import type { Route } from './routes.ts'
import { medianOfRounds } from './statistics.ts'

const PORT = 9000
const CONNECTIONS = 400
const AT_ONCE = 8
const SMALL = 'small'
const READY_MS = 30_000

/** Without keep-alive: each request is a connection. */
async function fetchBytes(port: number, path: string): Promise<number> {
  const ask = request({ host: '127.0.0.1', port, path, agent: false })
  ask.end()
  const [response] = (await once(ask, 'response')) as [
    AsyncIterable<Buffer> & { statusCode: number },
  ]
  if (response.statusCode !== 200) throw new Error(`${path}: HTTP ${response.statusCode}`)
  let bytes = 0
  for await (const chunk of response) bytes += chunk.length
  return bytes
}

async function withForward<T>(
  bed: Bed,
  route: Route,
  task: (port: number) => Promise<T>,
): Promise<T> {
  const args = [`--kubeconfig=${route.kubeconfig}`, 'port-forward', '-n', NAMESPACE, PLAIN_POD]
  const child = spawn(bed.sandbox.json.kubectl, [...args, '--address=127.0.0.1', `:${PORT}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, KUBERC: 'off' },
  })
  const ended = once(child, 'close')
  const late = setTimeout(() => child.kill('SIGKILL'), READY_MS)
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /127\.0\.0\.1:(\d+)/u.exec(line)?.[1]
      if (port === undefined) continue
      clearTimeout(late)
      return await task(Number(port))
    }
    throw new Error(`${route.name}: kubectl port-forward ended before it listened`)
  } finally {
    clearTimeout(late)
    child.kill('SIGTERM')
    await ended
  }
}

async function connectionsPerSecond(port: number): Promise<number> {
  let left = CONNECTIONS
  const begin = performance.now()
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await fetchBytes(port, `/${SMALL}`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return CONNECTIONS / ((performance.now() - begin) / 1000)
}

export async function measureForward(bed: Bed, options: BulkOptions): Promise<Findings> {
  const notes = new Notebook('port-forward')
  const file = await putText(bed, PLAIN_POD, options.mebibytes)
  const serve = `echo small > /tmp/${SMALL}; killall httpd; httpd -p 127.0.0.1:${PORT} -h /tmp`
  await runKubectl(['exec', '-n', NAMESPACE, PLAIN_POD, '--', 'sh', '-c', serve], bed.admin)
  await measureRuns(bed, notes, options, 'port-forward', (route) =>
    withForward(bed, route, async (port) => {
      notes.of(route.name, 'connections', '1/s').push(await connectionsPerSecond(port))
      const begin = performance.now()
      const bytes = await fetchBytes(port, `/${file.name}`)
      if (bytes !== file.bytes) throw new Error(`${route.name}: ${bytes} bytes came`)
      return bytes / 1e6 / ((performance.now() - begin) / 1000)
    }),
  )
  const rate = medianOfRounds(
    notes.of('gateway', 'connections', '1/s'),
    notes.of('kubectl proxy', 'connections', '1/s'),
    (gateway, proxy) => gateway / proxy,
  )
  return {
    series: notes.series,
    bars: [
      atLeast('port-forward, bytes, of kubectl proxy', ofKubectlProxy(notes), 0.75),
      atLeast('port-forward, connections, of kubectl proxy', rate, 0.5),
    ],
  }
}

/** Kubeconfig files as people and clusters write them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { loadEndpoint } from '../../../lib/kube/endpoint.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-endpoint-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

interface Parts {
  server?: string
  user?: object
  cluster?: object
  currentContext?: string
}

async function kubeconfig(parts: Parts): Promise<string> {
  const file = join(folder, 'kubeconfig')
  const cluster = { server: parts.server ?? 'https://api.internal:6443', ...parts.cluster }
  await writeFile(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': parts.currentContext ?? 'one',
      contexts: [
        { name: 'one', context: { cluster: 'c', user: 'u' } },
        { name: 'two', context: { cluster: 'd', user: 'u' } },
      ],
      clusters: [
        { name: 'c', cluster },
        { name: 'd', cluster: { server: 'https://second.internal' } },
      ],
      users: [{ name: 'u', user: parts.user ?? {} }],
    }),
  )
  return file
}

describe('the address', () => {
  it.each([
    { server: 'https://api.internal:6443', want: ['api.internal', 6443, ''] },
    { server: 'https://api.internal', want: ['api.internal', 443, ''] },
    { server: 'https://127.0.0.1:8443/', want: ['127.0.0.1', 8443, ''] },
    { server: 'https://[::1]:6443', want: ['::1', 6443, ''] },
    {
      server: 'https://rancher.internal/k8s/clusters/c-1/',
      want: ['rancher.internal', 443, '/k8s/clusters/c-1'],
    },
  ])('$server is read', async ({ server, want }) => {
    const endpoint = await loadEndpoint({ kubeconfig: await kubeconfig({ server }) })
    expect([endpoint.host, endpoint.port, endpoint.basePath]).toEqual(want)
  })

  it('is that of the context asked for', async () => {
    const endpoint = await loadEndpoint({ kubeconfig: await kubeconfig({}), context: 'two' })
    expect(endpoint.host).toBe('second.internal')
  })

  it.each([
    { name: 'plain http', parts: { server: 'http://api.internal:8080' }, says: 'only https' },
    { name: 'no address', parts: { server: 'not a url' }, says: 'is no URL' },
    { name: 'no such context', parts: { currentContext: 'gone' }, says: 'no current cluster' },
  ])('is refused when it is $name', async ({ parts, says }) => {
    await expect(loadEndpoint({ kubeconfig: await kubeconfig(parts) })).rejects.toMatchObject({
      name: 'GatewayError',
      reason: 'Invalid',
      message: expect.stringContaining(says),
    })
  })

  it.each([
    ['a missing file', undefined],
    ['a file that is no kubeconfig', 'just: [words'],
  ])('is refused with the name of %s', async (_name, content) => {
    const file = join(folder, 'odd')
    if (content !== undefined) await writeFile(file, content)
    await expect(loadEndpoint({ kubeconfig: file })).rejects.toMatchObject({
      name: 'GatewayError',
      reason: 'Invalid',
      message: expect.stringContaining(file),
    })
  })
})

describe('the credential', () => {
  it('is read again from a token file that has changed, at most a minute later', async () => {
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'first\n')
    let now = 0
    const endpoint = await loadEndpoint({
      kubeconfig: await kubeconfig({ user: { tokenFile } }),
      now: () => now,
    })
    await expect(endpoint.authorization()).resolves.toBe('Bearer first')
    await writeFile(tokenFile, 'second')
    now += 60_001
    await expect(endpoint.authorization()).resolves.toBe('Bearer second')
  })

  it('stays what it was while the file cannot be read', async () => {
    const tokenFile = join(folder, 'token')
    await writeFile(tokenFile, 'first')
    let now = 0
    const file = await kubeconfig({ user: { tokenFile } })
    const endpoint = await loadEndpoint({ kubeconfig: file, now: () => now })
    await rm(file)
    now += 60_001
    await expect(endpoint.authorization()).resolves.toBe('Bearer first')
  })

  it('may be a client certificate, and then there is no header', async () => {
    const user = {
      'client-certificate-data': Buffer.from('CERT').toString('base64'),
      'client-key-data': Buffer.from('KEY').toString('base64'),
    }
    const cluster = {
      'certificate-authority-data': Buffer.from('CA').toString('base64'),
      'tls-server-name': 'kubernetes',
    }
    const endpoint = await loadEndpoint({ kubeconfig: await kubeconfig({ user, cluster }) })
    expect(String(endpoint.tls.ca)).toBe('CA')
    expect(String(endpoint.tls.cert)).toBe('CERT')
    expect(String(endpoint.tls.key)).toBe('KEY')
    expect(endpoint.tls.servername).toBe('kubernetes')
    expect(endpoint.tls.rejectUnauthorized).toBeUndefined()
    await expect(endpoint.authorization()).resolves.toBeUndefined()
  })

  it('does not come with trust in anybody, unless the file says so', async () => {
    const cluster = { 'insecure-skip-tls-verify': true }
    const endpoint = await loadEndpoint({ kubeconfig: await kubeconfig({ cluster }) })
    expect(endpoint.tls.rejectUnauthorized).toBe(false)
  })
})

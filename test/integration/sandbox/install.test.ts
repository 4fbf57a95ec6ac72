import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'

import { type ControlPlane, startControlPlane } from '../../../lib/cluster/control-plane.ts'
import {
  applyDemo,
  applyPodgate,
  assertNotInstalled,
  removeAll,
} from '../../../lib/sandbox/demo-content.ts'
import { openGatewayAccount } from '../../../lib/sandbox/gateway-account.ts'
import { type KubectlOptions, runKubectl } from '../../../lib/sandbox/run-kubectl.ts'

/** From an empty cache the API server is built first. */
const COLD_START_MS = 20 * 60_000

jest.setTimeout(120_000)

let folder: string
let cluster: ControlPlane
let admin: KubectlOptions

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-install-'))
  cluster = await startControlPlane({ stateDir: join(folder, 'cluster'), controllerManager: true })
  admin = {
    kubectl: cluster.kubectl,
    kubeconfig: cluster.adminKubeconfig,
    cacheDir: join(folder, 'cache'),
  }
}, COLD_START_MS)

afterAll(async () => {
  await cluster.close()
  await rm(folder, { recursive: true })
})

async function installed(): Promise<string[]> {
  const kinds = [
    'namespaces',
    'customresourcedefinitions',
    'validatingadmissionpolicies',
    'validatingadmissionpolicybindings',
    'clusterroles',
    'clusterrolebindings',
  ]
  const names = await runKubectl(['get', kinds.join(), '-o=name'], admin)
  return names.split('\n').filter((name) => /podgate|shop/u.test(name))
}

async function checkGatewayAccount(): Promise<void> {
  const problems: string[] = []
  const account = await openGatewayAccount({
    folder,
    admin,
    onError: (message) => problems.push(message),
  })
  account.close()
  expect((await stat(account.kubeconfig)).mode & 0o777).toBe(0o600)
  expect(await readFile(account.kubeconfig, 'utf8')).not.toMatch(/client-(?:key|certificate)/u)
  const gateway = { ...admin, kubeconfig: account.kubeconfig }
  const whoami = ['auth', 'whoami', '-o=jsonpath={.status.userInfo.username}']
  expect(await runKubectl(whoami, gateway)).toBe('system:serviceaccount:podgate-system:podgate')
  await runKubectl(['get', 'accesspolicies', '-A'], gateway)
  await expect(runKubectl(['get', 'secrets', '-A'], gateway)).rejects.toThrow(/forbidden/u)
  expect(problems).toEqual([])
}

describe('a cluster that was there before the sandbox', () => {
  it('gets Podgate, the shop and an account for the gateway, and in the end has nothing of it', async () => {
    expect(await installed()).toEqual([])
    // The second time, as after a sandbox that crashed there.
    for (const round of [1, 2]) {
      await assertNotInstalled(admin)
      await applyPodgate(admin)
      await applyDemo(admin, `example.com/demo:${round}`)
    }
    const pods = ['get', 'pods', '-n', 'shop', '-o=jsonpath={.items[*].spec.containers[*].image}']
    expect(new Set((await runKubectl(pods, admin)).split(' '))).toEqual(
      new Set(['example.com/demo:2']),
    )
    const policies = await runKubectl(['get', 'accesspolicies', '-n', 'shop', '-o=name'], admin)
    expect(policies.trim().split('\n')).toHaveLength(4)
    await checkGatewayAccount()
    await removeAll(admin)
    expect(await installed()).toEqual([])
  })

  it.each(['shop', 'podgate-system'])(
    'is left alone when it has a namespace %s of its own',
    async (name) => {
      await runKubectl(['create', 'namespace', name], admin)
      await expect(assertNotInstalled(admin)).rejects.toThrow(
        `already has a namespace ${name}, which no sandbox made`,
      )
      await runKubectl(['delete', 'namespace', name], admin)
    },
  )
})

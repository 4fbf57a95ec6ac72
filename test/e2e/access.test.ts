/** What somebody may, and how they are told: service accounts, step-up, `kubectl auth can-i`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { kubectlVersion, type KubectlVersion } from '../../lib/cluster/kubectl-versions.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { run, type RunResult } from './support/kubectl.ts'
import { VERSIONS } from './support/matrix-legs.ts'
import { auditedBy, sessionsOf } from './support/records.ts'
import { COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { accessOf } from './support/token-of.ts'

let shop: Shop
let folder: string

beforeAll(async () => {
  shop = await openShop()
  folder = await mkdtemp(join(tmpdir(), 'podgate-access-'))
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

const sessions = (): Promise<SessionDocument[]> => sessionsOf(shop)

describe('a service account', () => {
  const ROBOT = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'robot', namespace: 'shop' },
  }

  function allow(name: string, kind: string, spec: object): object {
    return {
      apiVersion:
        kind === 'Role' || kind === 'RoleBinding'
          ? 'rbac.authorization.k8s.io/v1'
          : 'podgate.dev/v1alpha1',
      kind,
      metadata: { name, namespace: 'shop' },
      ...spec,
    }
  }

  async function asRobot(audience: string[], args: string[]): Promise<RunResult> {
    // Straight at the API server the guard lets nobody make one.
    const made = await shop.cy(['create', 'token', 'robot', '-n', 'shop', ...audience])
    if (made.code !== 0) return made
    const { url } = shop.sandbox.json.gateway
    const access = await accessOf(shop, 'ana')
    const config = JSON.parse(access.kubeconfigFor(new URL(url).host)) as {
      users: { user: object }[]
    }
    config.users = config.users.map((entry) => ({ ...entry, user: { token: made.stdout.trim() } }))
    const kubeconfig = join(folder, 'robot.json')
    await writeFile(kubeconfig, JSON.stringify(config))
    return await run(shop.sandbox.json.kubectl, [
      `--kubeconfig=${kubeconfig}`,
      '-n',
      'shop',
      ...args,
    ])
  }

  beforeAll(async () => {
    await shop.apply(ROBOT)
    const subjects = [{ kind: 'ServiceAccount', name: 'robot', namespace: 'shop' }]
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'e2e-robot' }
    const rules = [
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] },
      { apiGroups: [''], resources: ['pods/exec'], verbs: ['create', 'get'] },
      { apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] },
    ]
    const oncall = { kind: 'Group', name: 'oncall', apiGroup: 'rbac.authorization.k8s.io' }
    await shop.apply(allow('e2e-robot', 'Role', { rules }))
    await shop.apply(
      allow('e2e-robot', 'RoleBinding', { roleRef, subjects: [...subjects, oncall] }),
    )
    const name = 'system:serviceaccount:shop:robot'
    await shop.apply(
      allow('e2e-robot', 'AccessPolicy', {
        spec: {
          effect: 'Allow',
          subjects: [{ kind: 'User', name }],
          match: { operations: ['Exec'], podSelector: { matchLabels: { app: 'tools' } } },
        },
      }),
    )
    await shop.apply(
      allow('e2e-robot-tokens', 'AccessPolicy', {
        spec: {
          effect: 'Allow',
          subjects: [{ kind: 'Group', name: 'oncall' }],
          match: { operations: ['TokenRequest'], serviceAccounts: ['robot'] },
        },
      }),
    )
    await eventually('the policy', async () => {
      const { code } = await asRobot(['--audience=podgate'], ['exec', 'tools-0', '--', 'true'])
      return code === 0
    })
  }, 60_000)

  it('comes with a token for this gateway, and runs what a policy allows it', async () => {
    const { code, stdout } = await asRobot(
      ['--audience=podgate'],
      ['exec', 'tools-0', '--', 'echo', 'hi'],
    )
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'hi\n' })
    const [session] = await sessions()
    expect(session?.user.username).toBe('system:serviceaccount:shop:robot')
    const [event] = await auditedBy(shop, new RegExp(`exec\\?.*command=echo&command=hi`))
    expect(event?.impersonatedUser).toMatchObject({
      username: 'system:serviceaccount:shop:robot',
      extra: { 'podgate.dev/session': [session?._id] },
    })
    const refused = await asRobot(['--audience=podgate'], ['exec', 'web-0', '--', 'id'])
    expect(refused.stderr).toMatch(/PODGATE-1002/)
  })

  it('is refused with the token that the cluster itself takes', async () => {
    const { code, stderr } = await asRobot([], ['get', 'pods'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/--audience=podgate.*PODGATE-1440/)
  })

  it('is revoked by its name like anybody else', async () => {
    const name = 'system:serviceaccount:shop:robot'
    expect((await shop.podgate('bo', ['revoke', 'user', name])).code).toBe(0)
    const { stderr } = await asRobot(['--audience=podgate'], ['get', 'pods'])
    expect(stderr).toMatch(/PODGATE-1450/)
  })
})

describe('kubectl auth can-i', () => {
  it.each(VERSIONS.map(({ version }) => version))(
    'by kubectl %s says what the policies say, and opens nothing',
    async (version) => {
      const program =
        version === '1.34'
          ? shop.sandbox.json.kubectl
          : await kubectlVersion(version as KubectlVersion)
      const before = (await sessions()).length
      const { host } = new URL(shop.sandbox.json.gateway.url)
      // With the token inside: the oldest kubectl knows no credential plugin of today's version.
      const ask = async (person: 'ana' | 'dpo', ...what: string[]): Promise<RunResult> => {
        const kubeconfig = join(folder, `can-i-${person}-${version}.json`)
        await writeFile(kubeconfig, (await accessOf(shop, person)).kubeconfigFor(host))
        const where = [`--kubeconfig=${kubeconfig}`, `--cache-dir=${join(folder, 'can-i')}`]
        return await run(program, [...where, 'auth', 'can-i', '-n', 'shop', ...what])
      }
      const yes = await ask('ana', 'create', 'pods', '--subresource=exec')
      expect(yes).toMatchObject({ code: 0, stdout: 'yes\n' })
      expect(yes.stderr).toMatch(
        /Warning: AccessPolicy shop\/tools-shell allows it for pods with app=tools; AccessPolicy shop\/web-shell allows it for pods with app=web, with approval by group oncall/,
      )
      const typed = await ask('ana', 'create', 'pods/exec')
      expect(typed).toMatchObject({ code: 0, stdout: 'yes\n' })
      expect(typed.stderr).toMatch(
        /Warning: read as create pods --subresource=exec: AccessPolicy shop\/tools-shell allows it/,
      )
      const typedNo = await ask('dpo', 'create', 'pods/exec')
      expect(typedNo.code).toBe(1)
      expect(typedNo.stdout + typedNo.stderr).toMatch(
        /no - read as create pods --subresource=exec: RBAC of the cluster does not allow it/,
      )
      const web = await ask('ana', 'create', 'pods/web-0', '--subresource=exec')
      expect(web.stderr).toMatch(
        /allowed by AccessPolicy shop\/web-shell, with approval by group oncall/,
      )
      const no = await ask('ana', 'create', 'pods/ledger-0', '--subresource=exec')
      expect(no.code).toBe(1)
      expect(no.stdout + no.stderr).toMatch(
        /no - no policy allows ana \(groups: dev\) to exec into shop\/ledger-0/,
      )
      const explained = await shop.podgate('ana', ['explain', 'exec', 'web-0', '-n', 'shop'])
      expect(explained).toMatchObject({
        code: 0,
        stdout: 'yes - allowed by AccessPolicy shop/web-shell, with approval by group oncall\n',
      })
      const rbac = await ask('dpo', 'create', 'pods', '--subresource=exec')
      expect(rbac).toMatchObject({ code: 1, stdout: expect.stringMatching(/^no/) })
      const other = await ask('ana', 'get', 'pods')
      expect(other).toMatchObject({ code: 0, stdout: 'yes\n', stderr: '' })
      expect((await sessions()).length).toBe(before)
    },
    60_000,
  )
})

describe('a policy that asks for another sign-in', () => {
  it('says which, and what to run; a demand that is met is not noticed', async () => {
    const demand = (signIn: object): object => ({
      apiVersion: 'podgate.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { name: 'e2e-step-up', namespace: 'shop' },
      spec: {
        effect: 'Allow',
        subjects: [{ kind: 'Group', name: 'dev' }],
        match: { operations: ['Exec'], podSelector: { matchLabels: { app: 'tools' } } },
        signIn,
      },
    })
    const exec = async (): Promise<RunResult> =>
      await shop.ana(['exec', '-n', 'shop', 'tools-0', '--', 'true'])
    await shop.apply(demand({ acr: ['urn:podgate:mfa'] }))
    await eventually('the demand', async () => (await exec()).code === 1)
    expect((await exec()).stderr).toMatch(
      /Forbidden\): exec into shop\/tools-0 .*of the class urn:podgate:mfa.*Run: kubectl podgate login --fresh --acr urn:podgate:mfa; .*PODGATE-1060/,
    )
    await shop.apply(demand({ maxAge: '1h', amr: ['pwd'] }))
    await eventually('the other demand', async () => (await exec()).code === 0)
    await shop.admin(['delete', 'apol', 'e2e-step-up', '-n', 'shop'])
  })
})

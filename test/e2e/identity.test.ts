/** Who somebody is, told to the API server, and taken back from them: with real kubectl. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import { digestOf } from '../../lib/identity/gateway-token.ts'
import { createHttpsFetch } from '../../lib/https/https-fetch.ts'
import { kubectlVersion, type KubectlVersion } from '../../lib/cluster/kubectl-versions.ts'
import type { SessionDocument } from '../../lib/recording/session-document.ts'
import { run, type RunOptions, type RunResult } from './support/kubectl.ts'
import { VERSIONS } from './support/matrix-legs.ts'
import { COLD_START_MS, eventually, openShop, type Shop } from './support/shop.ts'
import { auditedBy, sessionsOf, type AuditEvent } from './support/records.ts'
import { signInAgain } from './support/sign-in.ts'
import { accessOf } from './support/token-of.ts'

let shop: Shop
let folder: string

beforeAll(async () => {
  shop = await openShop()
  folder = await mkdtemp(join(tmpdir(), 'podgate-identity-'))
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
  await rm(folder, { recursive: true, force: true })
}, 60_000)

/** Whatever a test has revoked, and whom it has signed out by that. */
afterEach(async () => {
  const { stdout } = await shop.podgate('bo', ['revocations', '-o', 'json'])
  const { items } = JSON.parse(stdout) as { items: { id: string }[] }
  for (const { id } of items) await shop.podgate('bo', ['restore', id])
  await signInAgain(shop, 'ana')
  await signInAgain(shop, 'dpo')
})

function whoami(): Promise<Record<string, string>> {
  return shop.podgate('ana', ['whoami', '-o', 'json']).then(({ stdout }) => {
    const { credential } = JSON.parse(stdout) as { credential: Record<string, string> }
    return credential
  })
}

const sessions = (): Promise<SessionDocument[]> => sessionsOf(shop)
const audited = (uri: RegExp): Promise<AuditEvent[]> => auditedBy(shop, uri)

/** A shell of ana's that says something each moment, until it is ended. */
async function running(): Promise<{ ended: Promise<RunResult> }> {
  const says = Promise.withResolvers<void>()
  const loop = 'while :; do echo here; sleep 0.2; done'
  const ended = shop.ana(['exec', '-n', 'shop', 'tools-0', '--', 'sh', '-c', loop], {
    onOutput: (text) => {
      if (text.includes('here')) says.resolve()
    },
  })
  await Promise.race([says.promise, ended])
  return { ended }
}

const COMMANDS = [
  ['get', 'pods'],
  ['exec', 'tools-0', '--', 'id'],
  ['logs', 'tools-0'],
  ['port-forward', 'tools-0', ':80'],
]

interface KubectlWithToken {
  token: string
  /** From a cold cache each time. */
  kubectl(command: string[], options?: RunOptions): Promise<RunResult>
}

/** ana's kubectl of a version, without the plugin that would renew her token. */
async function withToken(version: string): Promise<KubectlWithToken> {
  const program =
    version === '1.34' ? shop.sandbox.json.kubectl : await kubectlVersion(version as KubectlVersion)
  const { host } = new URL(shop.sandbox.json.gateway.url)
  const access = await accessOf(shop, 'ana')
  const kubeconfig = join(folder, `${version}.json`)
  await writeFile(kubeconfig, access.kubeconfigFor(host))
  return {
    token: access.token,
    kubectl: async (command, options = {}) => {
      const cache = await mkdtemp(join(folder, 'cache-'))
      const where = [`--kubeconfig=${kubeconfig}`, `--cache-dir=${cache}`, '-n', 'shop']
      return await run(program, [...where, ...command], options)
    },
  }
}

describe("the API server's audit log", () => {
  it('joins with the record of a session, the sign-in and the token', async () => {
    const { code } = await shop.ana(['exec', '-n', 'shop', 'tools-0', '--', 'true', 'audit-join'])
    expect(code).toBe(0)
    const { id, login } = await whoami()
    const [session] = await sessions()
    const events = await audited(/\/exec\?.*audit-join/)
    const extras = events.map(({ impersonatedUser }) => impersonatedUser)
    expect(extras.length).toBeGreaterThan(0)
    for (const user of extras) {
      expect(user).toMatchObject({
        username: 'ana',
        uid: 'ana',
        extra: {
          'podgate.dev/session': [session?._id],
          'podgate.dev/login': [login],
          'podgate.dev/token-id': [id],
          'podgate.dev/issuer': [shop.sandbox.json.oidc.issuer],
        },
      })
    }
  })

  it('names the sign-in of a plain request, too', async () => {
    const { login } = await whoami()
    await shop.ana(['get', 'configmap', 'audit-plain', '-n', 'shop', '--ignore-not-found'])
    const [event] = await audited(/configmaps\/audit-plain/)
    expect(event?.impersonatedUser?.extra).toMatchObject({ 'podgate.dev/login': [login] })
    expect(event?.impersonatedUser?.extra?.['podgate.dev/session']).toBeUndefined()
  })
})

describe('somebody who is revoked', () => {
  it('reads why, where a shell runs, and the record says so', async () => {
    const { ended } = await running()
    const revoked = await shop.podgate('bo', ['revoke', 'user', 'ana', '--reason', 'lost laptop'])
    expect(revoked).toMatchObject({ code: 0, stdout: expect.stringContaining('user/ana revoked') })
    const { code, stderr } = await ended
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^error: your access was revoked by bo .*"lost laptop".*PODGATE-1450\]$/m,
    )
    await eventually('the record', async () => (await sessions())[0]?.end?.outcome === 'Revoked')
  })

  it.each(VERSIONS.map(({ version }) => version))(
    'reads why in kubectl %s, and no line of its log, from a cold cache',
    async (version) => {
      const { kubectl } = await withToken(version)
      const revoke = await shop.podgate('bo', ['revoke', 'user', 'ana', '--for', '1h'])
      expect(revoke.code).toBe(0)
      for (const command of COMMANDS) {
        const { code, stderr } = await kubectl(command)
        expect(code).toBe(1)
        expect(stderr).toMatch(
          /^error: You must be logged in to the server \(your access was revoked by bo .*PODGATE-1450\]\)\n$/,
        )
      }
    },
    120_000,
  )

  it.each(VERSIONS.map(({ version }) => version))(
    'reads why in kubectl %s, where it watches',
    async (version) => {
      const { kubectl } = await withToken(version)
      const begun = Promise.withResolvers<void>()
      const watch = kubectl(['get', 'pods', '--watch'], {
        onOutput: (text) => {
          if (text.includes('web-0')) begun.resolve()
        },
      })
      await Promise.race([begun.promise, watch])
      expect((await shop.podgate('bo', ['revoke', 'user', 'ana'])).code).toBe(0)
      const { stdout, stderr } = await watch
      expect(`${stdout}${stderr}`).toMatch(/your access was revoked by bo .*PODGATE-1450/)
      expect(stderr).not.toMatch(/^[EWI]\d{4} /m)
    },
    120_000,
  )

  it('signs in again when let in again, and not before', async () => {
    await shop.podgate('bo', ['revoke', 'user', 'ana'])
    expect((await shop.ana(['get', 'pods', '-n', 'shop'])).code).toBe(1)
    const { stdout } = await shop.podgate('bo', ['revocations', '-o', 'json'])
    const [rule] = (JSON.parse(stdout) as { items: { id: string }[] }).items
    expect((await shop.podgate('bo', ['restore', rule?.id ?? ''])).code).toBe(0)
    // Her sign-ins ended; the sandbox signs nobody in by itself.
    const { stderr } = await shop.ana(['get', 'pods', '-n', 'shop'], { env: { BROWSER: 'none' } })
    expect(stderr).toMatch(/sign in at https.*code|kubectl podgate login/)
  })
})

describe('somebody whose token has ended', () => {
  it.each(VERSIONS.map(({ version }) => version))(
    'reads it in kubectl %s, and no line of its log, from a cold cache',
    async (version) => {
      await signInAgain(shop, 'ana')
      const { token, kubectl } = await withToken(version)
      // As if its hour were over; the gateway has not seen it yet.
      const { modifiedCount } = await shop.mongo
        .db(shop.sandbox.json.mongodb.database)
        .collection<{ _id: string; expiresAt: Date }>('tokens')
        .updateOne({ _id: digestOf(token) }, { $set: { expiresAt: new Date(Date.now() - 60_000) } })
      expect(modifiedCount).toBe(1)
      for (const command of COMMANDS) {
        const { code, stderr } = await kubectl(command)
        expect(code).toBe(1)
        expect(stderr).toMatch(
          /^error: You must be logged in to the server \(sign-in expired at .* UTC\. Run the same command again .*kubectl podgate login \[PODGATE-1405\]\)\n$/,
        )
      }
    },
    120_000,
  )
})

describe('a secret', () => {
  it('is found in no log, no record and no figure, whatever was done with it', async () => {
    const cache = join(shop.sandbox.folder.tokens, 'ana.json')
    const read = async (): Promise<string[]> => {
      const { token = '', refreshToken = '' } = JSON.parse(await readFile(cache, 'utf8')) as Record<
        string,
        string
      >
      return [token, refreshToken]
    }
    const first = await read()
    // Used, renewed, used wrongly, and in places where it does not belong.
    const text = await readFile(cache, 'utf8')
    await writeFile(cache, text.replace(/"expiresAt":\d+/, '"expiresAt":1'))
    await shop.ana(['exec', '-n', 'shop', 'tools-0', '--', 'true'])
    const second = await read()
    const { gateway, metrics, mongodb } = shop.sandbox.json
    const fetch = createHttpsFetch({ ca: await readFile(gateway.caFile, 'utf8') })
    for (const secret of [...first, ...second]) {
      const headers = { authorization: `Bearer ${secret}x`, cookie: `a=${secret}` }
      for (const path of [
        '/api',
        `/podgate/v1alpha1/sessions/${secret}`,
        `/podgate/sign-in/callback?state=${secret}&code=${secret}`,
      ]) {
        await fetch(`${gateway.url}${path}`, { method: 'GET', headers })
      }
      const body = new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: 'podgate-cli',
        refresh_token: `${secret}x`,
        code: secret,
      })
      await fetch(`${gateway.url}/podgate/sign-in/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body,
      })
    }
    const database = shop.mongo.db(mongodb.database)
    const collections = await database.listCollections().toArray()
    const stored = await Promise.all(
      collections.map(async ({ name }) =>
        JSON.stringify(await database.collection(name).find({}).toArray()),
      ),
    )
    const sinks = {
      log: await readFile(shop.sandbox.gateway.logFile, 'utf8'),
      audit: await readFile(shop.sandbox.cluster.auditLog ?? '', 'utf8'),
      metrics: await (await globalThis.fetch(metrics)).text(),
      store: stored.join('\n'),
    }
    expect(collections.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['logins', 'tokens']),
    )
    for (const [sink, content] of Object.entries(sinks)) {
      expect(content.length).toBeGreaterThan(100)
      for (const secret of [...first, ...second]) {
        const bare = secret.slice(-43)
        const found = [secret, bare, Buffer.from(secret).toString('base64')].filter((form) =>
          content.includes(form),
        )
        expect([sink, found]).toEqual([sink, []])
      }
    }
  })
})

describe('a person whose sign-in is over', () => {
  it('gets one tab of the browser and one line for one command, though kubectl starts the plugin again and again', async () => {
    const opened = join(folder, 'opened')
    const browser = join(folder, 'browser.mjs')
    // A browser whose person says no.
    await writeFile(
      browser,
      `#!${process.execPath}
import { appendFileSync } from 'node:fs'
const { searchParams } = new URL(process.argv[2])
appendFileSync(${JSON.stringify(opened)}, 'x')
const back = new URL(searchParams.get('redirect_uri'))
back.search = new URLSearchParams({ error: 'access_denied', error_description: 'not now', state: searchParams.get('state'), iss: process.argv[2].split('/authorize')[0] })
await fetch(back)
`,
      { mode: 0o755 },
    )
    const cache = join(shop.sandbox.folder.tokens, 'ana.json')
    const { url, caFile } = shop.sandbox.json.gateway
    await shop.podgate('ana', ['logout', url, '--ca-file', caFile, '--cache', cache])
    const cold = `--cache-dir=${await mkdtemp(join(folder, 'tab-'))}`
    const { code, stderr } = await shop.ana([cold, 'get', 'pods', '-n', 'shop'], {
      env: { BROWSER: browser },
    })
    expect(code).toBe(1)
    expect(await readFile(opened, 'utf8')).toBe('x')
    const ours = stderr.split('\n').filter((line) => line.startsWith('podgate: '))
    expect(ours).toEqual([
      expect.stringMatching(
        /^podgate: signing you in with your browser; if it did not open: https:/,
      ),
      expect.stringMatching(/^podgate: .*not now/),
    ])
  })
})

describe('a person', () => {
  it('may end what is their own, and nobody else', async () => {
    const refused = await shop.podgate('ana', ['revoke', 'user', 'dpo'])
    expect(refused).toMatchObject({ code: 3, stderr: expect.stringMatching(/PODGATE-1460/) })
    const { login = '' } = await whoami()
    expect((await shop.podgate('dpo', ['revoke', 'session', login])).code).toBe(3)
    const { ended } = await running()
    expect((await shop.podgate('ana', ['revoke', 'session', login])).code).toBe(0)
    const { stderr } = await ended
    expect(stderr).toMatch(/your access was revoked by ana .*Sign in again: kubectl podgate login/)
  })

  it('may end one session that runs, and stays signed in', async () => {
    const { ended } = await running()
    const [session] = await sessions()
    expect((await shop.podgate('ana', ['revoke', 'session', session?._id ?? ''])).code).toBe(0)
    expect((await ended).stderr).toMatch(/PODGATE-1450/)
    expect((await shop.ana(['get', 'pods', '-n', 'shop'])).code).toBe(0)
  })

  it('signs out for good, everywhere', async () => {
    const { token, kubeconfigFor } = await accessOf(shop, 'ana')
    const { url, caFile } = shop.sandbox.json.gateway
    const cache = join(shop.sandbox.folder.tokens, 'ana.json')
    const out = await shop.podgate('ana', ['logout', url, '--ca-file', caFile, '--cache', cache])
    expect(out).toMatchObject({ code: 0, stderr: `Signed out at ${url}.\n` })
    const kubeconfig = join(folder, 'stolen.json')
    await writeFile(kubeconfig, kubeconfigFor(new URL(url).host))
    const { stderr } = await run(shop.sandbox.json.kubectl, [
      `--kubeconfig=${kubeconfig}`,
      'get',
      'pods',
    ])
    expect(stderr).toMatch(
      /You must be logged in to the server \(your (?:sign-in has ended|access)/,
    )
    const log = await readFile(shop.sandbox.gateway.logFile, 'utf8')
    expect(log).not.toContain(token.slice(-43))
    expect(log).not.toMatch(/podgate_(?:at|rt|ac|dc|bs)_/)
  })
})

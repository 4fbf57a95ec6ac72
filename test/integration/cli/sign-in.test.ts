/** Signing in by command, at a gateway that says whatever it likes, beside neighbours of any kind. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { request } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { ExitCode } from '../../../lib/cli/cli-error.ts'
import { runCredential } from '../../../lib/cli/credential.ts'
import { CLIENT_ID, issuerOf } from '../../../lib/cli/sign-in/gateway-oauth.ts'
import { runLogin, runLogout } from '../../../lib/cli/sign-in/login.ts'
import { openLoopback } from '../../../lib/cli/sign-in/loopback.ts'
import { browserFor } from '../../../lib/cli/sign-in/open-browser.ts'
import { readTokens, writeTokens } from '../../../lib/cli/token-cache.ts'
import { withTokenLock } from '../../../lib/cli/token-lock.ts'
import { createAuthority, issueCertificate } from '../../../lib/cluster/pki.ts'
import { createFakeIo, type FakeIo } from '../../fakes/cli-io.ts'

interface Answer {
  status?: number
  headers?: Record<string, string>
  body: object
}

let folder: string
let server: Server
let url: string
let caFile: string
/** What the gateway says at each of its addresses, and the bodies it was sent. */
let says: Record<string, (body: URLSearchParams) => Answer | Promise<Answer>>
let asked: string[]
let files = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-cli-sign-in-'))
  const authority = await createAuthority('cli sign-in')
  caFile = join(folder, 'ca.pem')
  await writeFile(caFile, authority.certificate)
  const pair = await issueCertificate(authority, {
    commonName: 'gate',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  server = createServer({ cert: pair.certificate, key: pair.privateKey }, (asking, response) => {
    const chunks: Buffer[] = []
    asking.on('data', (chunk: Buffer) => chunks.push(chunk))
    asking.on('end', () => {
      const path = (asking.url ?? '').replace('/podgate/sign-in/', '')
      const body = new URLSearchParams(Buffer.concat(chunks).toString())
      asked.push(path)
      void Promise.resolve(says[path]?.(body) ?? { status: 404, body: {} }).then((answer) => {
        const headers = { 'content-type': 'application/json', ...answer.headers }
        response.writeHead(answer.status ?? 200, headers).end(JSON.stringify(answer.body))
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

const DEVICE = { device_code: 'd', expires_in: 600, interval: 0.01 }

beforeEach(() => {
  asked = []
  const at = (path: string): string => `${url}/podgate/sign-in/${path}`
  says = {
    metadata: () => ({
      body: {
        issuer: issuerOf(url),
        authorization_endpoint: at('authorize'),
        token_endpoint: at('token'),
        device_authorization_endpoint: at('device'),
        revocation_endpoint: at('revoke'),
        podgate_cluster: 'prod',
      },
    }),
    device: () => ({
      body: { ...DEVICE, user_code: 'BCDF-GHJK', verification_uri: `${url}/verify` },
    }),
    token: () => ({
      body: {
        access_token: 'at-1',
        token_type: 'Bearer',
        expires_in: 3600,
        refresh_token: 'rt-1',
        podgate_user: 'ana',
      },
    }),
    revoke: () => ({ body: {} }),
  }
})

interface Place {
  io: FakeIo
  cache: string
  kubeconfig: string
  args: string[]
}

function place(): Place {
  files += 1
  const cache = join(folder, `${files}.json`)
  const kubeconfig = join(folder, `${files}.yaml`)
  const io = createFakeIo({ startMs: Date.now(), env: { BROWSER: 'none' } })
  const args = [url, '--device', `--ca-file=${caFile}`, `--cache=${cache}`]
  return { io, cache, kubeconfig, args: [...args, `--kubeconfig=${kubeconfig}`] }
}

describe('login', () => {
  it('ends with the sign-in in the cache and the gateway in the kubeconfig', async () => {
    const { io, args, cache, kubeconfig } = place()
    expect(await runLogin(args, io)).toBe(ExitCode.Done)
    expect(io.err()).toContain('Signed in as ana')
    expect(await readTokens(cache, issuerOf(url), CLIENT_ID)).toMatchObject({ token: 'at-1' })
    expect(await readFile(kubeconfig, 'utf8')).toContain('current-context: podgate-prod')
  })

  it('does not take an entry of the kubeconfig from another gateway, but where it is told to', async () => {
    const { io, args, kubeconfig } = place()
    await runLogin(args, io)
    const before = (await readFile(kubeconfig, 'utf8')).replaceAll(url, 'https://first.example')
    await writeFile(kubeconfig, before)
    await expect(runLogin(args, io)).rejects.toMatchObject({
      exitCode: ExitCode.Error,
      message: expect.stringMatching(/"podgate-prod" already, for https:\/\/first.example.*--name/),
    })
    expect(await readFile(kubeconfig, 'utf8')).toBe(before)
    await runLogin([...args, '--name=second'], io)
    const after = await readFile(kubeconfig, 'utf8')
    expect(after).toContain('https://first.example')
    expect(after).toContain('current-context: second')
  })

  it('says what the gateway says while it cannot, and ends with the code for that', async () => {
    const { io, args } = place()
    const error_description = 'the store of sign-ins is away [PODGATE-1452]'
    says['device'] = () => ({ status: 503, body: { error: 'x', error_description } })
    await expect(runLogin(args, io)).rejects.toMatchObject({
      exitCode: ExitCode.Unreachable,
      message: expect.stringContaining(error_description),
    })
  })

  it('goes on waiting for its person where the gateway cannot for a moment, and says when', async () => {
    const { io, args } = place()
    const { token } = says
    let polls = 0
    says['token'] = (body) => {
      polls += 1
      if (polls > 1 && token !== undefined) return token(body)
      const headers = { 'retry-after': '0' }
      return { status: 503, headers, body: { error: 'temporarily_unavailable' } }
    }
    expect(await runLogin(args, io)).toBe(ExitCode.Done)
    expect(polls).toBe(2)
  })

  it('is refused with the code for that where the gateway says no', async () => {
    const { io, args } = place()
    says['token'] = () => ({ status: 400, body: { error: 'access_denied' } })
    await expect(runLogin(args, io)).rejects.toMatchObject({ exitCode: ExitCode.Denied })
  })

  it('ends with the code of Ctrl-C by Ctrl-C', async () => {
    const { io, args } = place()
    says['token'] = () => {
      io.interrupt()
      return { status: 400, body: { error: 'authorization_pending' } }
    }
    await expect(runLogin(args, io)).rejects.toMatchObject({
      exitCode: ExitCode.Interrupted,
      message: 'the sign-in was cancelled',
    })
  })

  it('looks for the name in the certificate that the kubeconfig says', async () => {
    const { io, args, kubeconfig } = place()
    await runLogin(args, io)
    const named = (await readFile(kubeconfig, 'utf8')).replace(
      `server: ${url}`,
      `$&\n      tls-server-name: other.example`,
    )
    await writeFile(kubeconfig, named)
    await expect(runLogin(args.slice(1), io)).rejects.toMatchObject({
      exitCode: ExitCode.Unreachable,
      message: expect.stringMatching(/certificate is for another name.*other\.example/),
    })
  })
})

describe('the credential plugin', () => {
  const ESCAPE = String.fromCharCode(27)

  it.each<[string, string, (text: string) => Answer]>([
    ['the code of a device', 'device', (text) => ({ body: { ...DEVICE, user_code: text } })],
    ['a refusal', 'device', (error_description) => bad({ error: 'x', error_description })],
    ['a name of its own', 'metadata', (issuer) => ({ body: { issuer } })],
  ])('prints nothing that a terminal acts on: %s', async (_name, path, answer) => {
    const { io, cache } = place()
    says[path] = () => {
      const said = answer(`${ESCAPE}]0;owned${String.fromCharCode(7)}\nPassword: `)
      return path === 'device' && said.status === undefined
        ? { body: { ...said.body, verification_uri: `${url}/verify` } }
        : said
    }
    says['token'] = () => bad({ error: 'access_denied' })
    const info = { apiVersion: 'client.authentication.k8s.io/v1', spec: { interactive: true } }
    io.env['KUBERNETES_EXEC_INFO'] = JSON.stringify(info)
    const args = [`--server=${url}`, `--ca-file=${caFile}`, `--cache=${cache}`]
    expect(await runCredential(args, io)).toBe(1)
    expect(io.err()).toContain('owned')
    expect(io.err()).not.toContain(ESCAPE)
    expect(io.err()).not.toMatch(/^Password/m)
  })

  function bad(body: object): Answer {
    return { status: 400, body }
  }
})

describe('logout', () => {
  it('waits for another process that is renewing, so that nothing is written back after it', async () => {
    const { io, cache, kubeconfig } = place()
    const tokens = (token: string): Parameters<typeof writeTokens>[1] => ({
      issuer: issuerOf(url),
      clientId: CLIENT_ID,
      token,
      refreshToken: `r-${token}`,
      expiresAt: Date.now() + 3_600_000,
    })
    await writeTokens(cache, tokens('one'))
    const renewal = Promise.withResolvers<void>()
    const holding = Promise.withResolvers<void>()
    const renewing = withTokenLock(cache, async () => {
      holding.resolve()
      await renewal.promise
      await writeTokens(cache, tokens('two'))
    })
    await holding.promise
    const revoked: (string | null)[] = []
    says['revoke'] = (body) => {
      revoked.push(body.get('token'))
      return { body: {} }
    }
    const args = [url, `--ca-file=${caFile}`, `--cache=${cache}`, `--kubeconfig=${kubeconfig}`]
    const out = runLogout(args, io)
    renewal.resolve()
    await renewing
    expect(await out).toBe(ExitCode.Done)
    expect(revoked).toEqual(['r-two'])
    expect(existsSync(cache)).toBe(false)
  })
})

describe('the page that a browser comes back to', () => {
  /** A request line that no client of ours would send. */
  async function send(port: number, line: string): Promise<string> {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    let text = ''
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString()
    return text
  }

  it.each(['GET //', 'GET http://[', 'GET /callback', 'POST /callback?state=s', 'GET *'])(
    'answers "%s" with a refusal, and goes on waiting',
    async (line) => {
      const loopback = await openLoopback('s')
      const port = Number(new URL(loopback.redirectUri).port)
      expect(await send(port, line)).toMatch(/^HTTP\/1\.1 40[04] /)
      const arrival = loopback.arrival(AbortSignal.timeout(5000))
      request(`${loopback.redirectUri}?state=s&code=c`).end()
      expect((await arrival).searchParams.get('code')).toBe('c')
      loopback.close()
    },
  )

  it('keeps no command from ending, though somebody holds a connection to it', async () => {
    const module = join(import.meta.dirname, '../../../lib/cli/sign-in/loopback.ts')
    const script = `
      const { openLoopback } = await import(${JSON.stringify(module)})
      const loopback = await openLoopback('s')
      process.stdout.write(loopback.redirectUri + '\\n')
      process.stdin.once('data', () => { loopback.close(); process.stdin.destroy() })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script])
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const holder = connect(Number(new URL(line.toString().trim()).port), '127.0.0.1')
    holder.on('error', () => undefined)
    await once(holder, 'connect')
    const ended = once(child, 'exit')
    child.stdin.write('end')
    expect(await ended).toEqual([0, null])
    holder.destroy()
  })
})

describe('a browser', () => {
  it.each<[string, NodeJS.Platform, Record<string, string>, string | undefined]>([
    ['of a Mac', 'darwin', {}, 'open'],
    ['of a Mac, from elsewhere', 'darwin', { SSH_CONNECTION: '1 2 3 4' }, undefined],
    ['of a Mac, from elsewhere, where one is named', 'darwin', { SSH_TTY: 'x', BROWSER: 'b' }, 'b'],
    ['of Windows, from elsewhere', 'win32', { SSH_TTY: '/dev/pts/1' }, undefined],
  ])('%s', (_name, platform, env, want) => {
    expect(browserFor('https://x', env, platform)?.command).toBe(want)
  })
})

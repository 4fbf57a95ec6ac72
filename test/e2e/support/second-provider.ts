/**
 * An OpenID Connect provider that is not ours and not by the library of the sandbox's: see
 * test/cluster/secondprovider. On 127.0.0.1 with TLS, as a process of its own.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { request, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { createHttpsFetch } from '../../../lib/https/https-fetch.ts'
import { buildGoModule } from '../../../lib/cluster/build.ts'
import { SECOND_PROVIDER } from '../../../lib/cluster/go-programs.ts'
import { openInstance } from '../../../lib/cluster/lifecycle.ts'
import { issueCertificate, type KeyPair } from '../../../lib/cluster/pki.ts'
import { startProgram, waitUntil } from '../../../lib/cluster/processes.ts'
import { freePorts } from '../../../lib/sandbox/free-port.ts'

export const SECOND_CLIENT_ID = 'podgate-gateway'
/** Without `profile` and `email` there is no name in its tokens. */
export const SECOND_SCOPES = 'openid profile email groups offline_access'

const START_TIMEOUT_MS = 20_000

export interface SecondProviderOptions {
  /** A folder for it alone; removed by close(). */
  stateDir: string
  authority: KeyPair
  /** Of the gateway's client. */
  redirectUri: string
  clientSecret: string
  tokenLifeSeconds?: number
}

export interface SecondPerson {
  /** The `sub` of their tokens. */
  subject: string
  name: string
  email: string
  password: string
  groups: readonly string[]
}

export interface SecondProvider {
  issuer: string
  ana: SecondPerson
  /** A new signing key; the old ones stay published or are withdrawn. */
  rotateKeys(options: { keepOld: boolean }): Promise<void>
  /** Nobody's refresh token is good any more. */
  endSignIns(): Promise<void>
  /** An outage: nobody listens until start(). Sign-ins and keys are kept. */
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export async function startSecondProvider(options: SecondProviderOptions): Promise<SecondProvider> {
  const binaries = await buildGoModule(SECOND_PROVIDER)
  const [port = 0] = await freePorts(1)
  const issuer = `https://127.0.0.1:${port}`
  const ana = createAna()
  const instance = await openInstance({ name: 'second-provider', stateDir: options.stateDir })
  const fetch = createHttpsFetch({ ca: options.authority.certificate })
  const isUp = async (): Promise<boolean> => {
    const signal = AbortSignal.timeout(5_000)
    return (await fetch(`${issuer}/keys`, { method: 'GET', headers: {}, signal })).status === 200
  }
  const control = join(options.stateDir, 'control')
  try {
    const program = startProgram(instance, {
      name: 'second-provider',
      command: join(binaries, 'secondprovider'),
      args: [await writeConfig(options, port, ana)],
    })
    const what = 'the second provider'
    await waitUntil(isUp, { what, timeoutMs: START_TIMEOUT_MS, programs: [program] })
    return {
      issuer,
      ana,
      rotateKeys: ({ keepOld }) => tell(control, keepOld ? 'add-key' : 'replace-keys'),
      endSignIns: () => tell(control, 'end-sign-ins'),
      stop: () => tell(control, 'down'),
      start: () => tell(control, 'up'),
      close: () => instance.close(),
    }
  } catch (error) {
    await instance.close()
    throw error
  }
}

/** Resolves when it has happened: see control.go. */
async function tell(socketPath: string, what: string): Promise<void> {
  const asked = request({ socketPath, path: `/${what}`, method: 'POST', agent: false })
  asked.end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const said = await text(answer)
  if (answer.statusCode !== 200) throw new Error(`the second provider, asked to ${what}: ${said}`)
}

function createAna(): SecondPerson {
  return {
    subject: randomUUID(),
    name: 'ana',
    email: 'ana@example.com',
    password: randomBytes(18).toString('base64url'),
    groups: ['dev', 'team-shop'],
  }
}

async function writeConfig(
  options: SecondProviderOptions,
  port: number,
  ana: SecondPerson,
): Promise<string> {
  const { stateDir, authority } = options
  const pair = await issueCertificate(authority, {
    commonName: 'second provider',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  const certificate = join(stateDir, 'provider.crt')
  const privateKey = join(stateDir, 'provider.key')
  const config = join(stateDir, 'config.json')
  await writeFile(certificate, pair.certificate)
  await writeFile(privateKey, pair.privateKey, { mode: 0o600 })
  const settings = {
    listen: `127.0.0.1:${port}`,
    certificate,
    privateKey,
    client: {
      id: SECOND_CLIENT_ID,
      secret: options.clientSecret,
      redirectUri: options.redirectUri,
      tokenLifeSeconds: options.tokenLifeSeconds ?? 600,
    },
    people: [ana],
    control: join(stateDir, 'control'),
  }
  await writeFile(config, JSON.stringify(settings), { mode: 0o600 })
  return config
}

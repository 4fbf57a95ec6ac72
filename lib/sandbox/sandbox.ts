/**
 * Sandbox: everything on this machine, to try Podgate and to test it: a cluster, a MongoDB, an
 * identity provider, the gateway, a demo shop and four people with their kubeconfigs. Every part is
 * a real one; there is no way in that production does not have.
 *
 * May import: every folder of a lower level; oidc-provider, openid-client, yaml, node.
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'

import { createAuthority, issueCertificate, type KeyPair } from '../cluster/pki.ts'
import { type Mongo, startMongo } from '../cluster/mongo.ts'
import { type Progress, silentProgress } from '../cluster/progress.ts'
import { errorText } from '../errors/gateway-error.ts'
import { checkPeople, writeAccess } from './access.ts'
import {
  applyDemo,
  applyPodgate,
  assertNotInstalled,
  removeAll,
  waitForDemo,
} from './demo-content.ts'
import { openDemoCluster, type DemoCluster } from './demo-cluster.ts'
import { freePorts } from './free-port.ts'
import { openGatewayAccount } from './gateway-account.ts'
import {
  type GatewayControl,
  type GatewayProcess,
  gatewayUrl,
  PROVIDER_NAME,
  startGatewayProcess,
} from './gateway-process.ts'
import {
  type GatewayClient,
  type IdentityProvider,
  startIdentityProvider,
} from './identity-provider.ts'
import { createPeople, type Person } from './people.ts'
import { programFile } from './program-file.ts'
import type { KubectlOptions } from './run-kubectl.ts'
import { claimFolder, folderOf, type SandboxFolder } from './sandbox-folder.ts'
import { type SandboxJson, writeSandboxJson } from './sandbox-json.ts'

export interface SandboxOptions {
  /** A second sandbox on the same machine needs another name (or another folder). */
  name?: string | undefined
  /** Default: .podgate in the working directory. */
  dir?: string | undefined
  /** A context of the current kubeconfig, in place of a cluster of our own. */
  context?: string | undefined
  /** Records every request in the cluster's `auditLog`; only with a local cluster. */
  audit?: boolean
  /** Short lives make tests of renewing quick. */
  idTokenSeconds?: number
  progress?: Progress
  signal?: AbortSignal
  onError?: (message: string) => void
}

export interface Sandbox {
  json: SandboxJson
  folder: Pick<SandboxFolder, 'root' | 'bin' | 'json' | 'tokens' | 'passwords'>
  gateway: GatewayControl
  mongo: Mongo
  cluster: DemoCluster
  close(): Promise<void>
}

const DATABASE = 'podgate'

/** What has been opened, to be closed in the reverse order. */
type Closers = (() => Promise<void> | void)[]

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const folder = claimFolder(folderOf(options.dir ?? '.podgate', options.name))
  const closers: Closers = [() => folder.release()]
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= closeAll(closers))
  try {
    return { ...(await bringUp(options, folder, closers)), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** One part that does not end well must not keep the others. */
async function closeAll(closers: Closers): Promise<void> {
  const problems: string[] = []
  for (const end of closers.toReversed()) {
    try {
      await end()
    } catch (error) {
      problems.push(errorText(error))
    }
  }
  if (problems.length > 0)
    throw new Error(`the sandbox did not end cleanly: ${problems.join('; ')}`)
}

async function bringUp(
  options: SandboxOptions,
  folder: SandboxFolder,
  closers: Closers,
): Promise<Omit<Sandbox, 'close'>> {
  const progress = options.progress ?? silentProgress
  const onError = options.onError ?? ((): void => {})
  const checkpoint = (what: string): void => {
    options.signal?.throwIfAborted()
    progress.update({ what })
  }
  const authority = await createAuthority('Podgate sandbox')
  await writeFile(folder.authority, authority.certificate)

  checkpoint('Starting MongoDB')
  const mongo = await startMongo({ stateDir: folder.mongodb, progress })
  closers.push(() => mongo.close())

  checkpoint('Starting Kubernetes')
  const cluster = await openDemoCluster({ ...options, stateDir: folder.cluster, progress })
  closers.push(() => cluster.close())

  checkpoint('Starting the identity provider')
  const people = createPeople()
  const [gatewayPort = 0, metricsPort = 0] = await freePorts(2)
  const client: GatewayClient = {
    secret: randomBytes(32).toString('base64url'),
    redirectUri: `${gatewayUrl(gatewayPort)}/podgate/sign-in/callback`,
    backchannelLogoutUri: `${gatewayUrl(gatewayPort)}/podgate/sign-in/logout/${PROVIDER_NAME}`,
  }
  const provider = await openProvider(options, folder, authority, people, client)
  closers.push(() => provider.close())

  checkpoint('Installing Podgate and the demo shop')
  const admin: KubectlOptions = {
    kubectl: cluster.kubectl,
    kubeconfig: cluster.adminKubeconfig,
    cacheDir: folder.kubectlCache,
    signal: options.signal,
  }
  await install(admin, cluster, closers)

  checkpoint('Starting the gateway')
  const gateway = await openGateway({
    options,
    folder,
    authority,
    mongo,
    provider,
    admin,
    onError,
    ports: { gateway: gatewayPort, metrics: metricsPort },
    clientSecret: client.secret,
  })
  closers.push(gateway.closeAll)

  checkpoint('Signing people in')
  const json = await writeAccess({
    folder,
    cluster,
    provider,
    people,
    authority: authority.certificate,
    gateway: gateway.process,
    mongodb: { uri: mongo.uri, database: DATABASE },
  })
  await waitForDemo(admin)
  await checkPeople(json, folder, options.signal)
  await writeSandboxJson(folder.json, json)
  progress.done('The gateway answers, and everybody can sign in')
  return { json, folder, gateway: gateway.process, mongo, cluster }
}

async function openProvider(
  options: SandboxOptions,
  folder: SandboxFolder,
  authority: KeyPair,
  people: readonly Person[],
  gateway: GatewayClient,
): Promise<IdentityProvider> {
  const passwords = Object.fromEntries(
    people.map(({ name, password, codeSecret }) => [name, { password, codeSecret }]),
  )
  await writeFile(folder.passwords, `${JSON.stringify(passwords, null, 2)}\n`, { mode: 0o600 })
  const pair = await issueCertificate(authority, {
    commonName: 'Podgate sandbox identity provider',
    hosts: ['127.0.0.1'],
    usages: ['server'],
  })
  return startIdentityProvider({
    people,
    certificate: pair.certificate,
    privateKey: pair.privateKey,
    gateway,
    authority: authority.certificate,
    ...(options.idTokenSeconds === undefined ? {} : { idTokenSeconds: options.idTokenSeconds }),
    ...(options.onError === undefined ? {} : { onError: options.onError }),
  })
}

async function install(
  admin: KubectlOptions,
  cluster: DemoCluster,
  closers: Closers,
): Promise<void> {
  if (cluster.isForeign) {
    await assertNotInstalled(admin)
    // Without the signal: it has already fired when the sandbox ends because of it.
    closers.push(() => removeAll({ ...admin, signal: undefined }))
  }
  await applyPodgate(admin)
  await applyDemo(admin, cluster.demoImage)
}

interface GatewayParts {
  options: SandboxOptions
  folder: SandboxFolder
  authority: KeyPair
  mongo: Mongo
  provider: IdentityProvider
  admin: KubectlOptions
  onError: (message: string) => void
  ports: { gateway: number; metrics: number }
  clientSecret: string
}

async function openGateway(
  parts: GatewayParts,
): Promise<{ process: GatewayProcess; closeAll: () => Promise<void> }> {
  const { folder, mongo, provider } = parts
  const account = await openGatewayAccount({
    folder: folder.account,
    admin: { ...parts.admin, signal: undefined },
    onError: parts.onError,
  })
  try {
    const gateway = await startGatewayProcess({
      stateDir: folder.gateway,
      program: programFile('podgate'),
      authority: parts.authority,
      ports: parts.ports,
      kubeconfig: account.kubeconfig,
      clusterName: parts.options.name ?? 'sandbox',
      mongodb: { uri: mongo.uri, database: DATABASE },
      oidc: { issuer: provider.issuer, caFile: folder.authority, secret: parts.clientSecret },
      tokenSeconds: parts.options.idTokenSeconds,
      // Who records every request wants every line.
      logLevel: parts.options.audit === true ? 'debug' : undefined,
      onUnexpectedEnd: parts.onError,
    })
    return {
      process: gateway,
      closeAll: async () => {
        account.close()
        await gateway.close()
      },
    }
  } catch (error) {
    account.close()
    throw error
  }
}

/** What people need to use the sandbox: sign-ins, kubeconfigs and programs, tried before they are handed out. */
import { join } from 'node:path'

import type { DemoCluster } from './demo-cluster.ts'
import { DEMO_NAMESPACE } from './demo-content.ts'
import { writePersonKubeconfig, writePrograms } from './kubeconfigs.ts'
import type { Person, PersonName } from './people.ts'
import { programFile } from './program-file.ts'
import { runKubectl } from './run-kubectl.ts'
import type { SandboxFolder } from './sandbox-folder.ts'
import type { SandboxJson } from './sandbox-json.ts'
import { signInAtGateway } from './sign-in.ts'

export interface AccessOptions {
  folder: SandboxFolder
  /** PEM of the sandbox's authority. */
  authority: string
  cluster: DemoCluster
  provider: { issuer: string }
  gateway: { url: string; metricsUrl: string }
  mongodb: { uri: string; database: string }
  people: readonly Person[]
}

export async function writeAccess(options: AccessOptions): Promise<SandboxJson> {
  const { folder, cluster, people } = options
  await Promise.all(people.map((person) => letIn(person, options)))
  await writePrograms(folder.bin, {
    kubectl: cluster.kubectl,
    scripts: {
      'kubectl-approve': programFile('kubectl-approve'),
      'kubectl-podgate': programFile('kubectl-podgate'),
    },
  })
  const { url, metricsUrl } = options.gateway
  const user = (name: PersonName): { kubeconfig: string } => ({
    kubeconfig: kubeconfigOf(folder, name),
  })
  return {
    gateway: { url, caFile: folder.authority },
    users: { ana: user('ana'), bo: user('bo'), cy: user('cy'), dpo: user('dpo') },
    admin: { kubeconfig: cluster.adminKubeconfig },
    mongodb: options.mongodb,
    oidc: { issuer: options.provider.issuer },
    console: `${url}/podgate/v1alpha1/`,
    metrics: metricsUrl,
    kubectl: cluster.kubectl,
    ...(cluster.helm === undefined ? {} : { helm: cluster.helm }),
    ...(cluster.containerdSocket === undefined
      ? {}
      : { containerdSocket: cluster.containerdSocket }),
  }
}

async function letIn(person: Person, options: AccessOptions): Promise<void> {
  const { folder, authority, provider } = options
  const { name, password } = person
  const cacheFile = join(folder.tokens, `${name}.json`)
  const address = { server: options.gateway.url, ca: authority }
  await signInAtGateway({ address, issuer: provider.issuer, name, password, cacheFile })
  await writePersonKubeconfig({
    file: kubeconfigOf(folder, name),
    cacheFile,
    person: name,
    namespace: DEMO_NAMESPACE,
    server: options.gateway.url,
    authority,
    caFile: folder.authority,
    program: programFile('kubectl-podgate'),
  })
}

function kubeconfigOf(folder: SandboxFolder, name: PersonName): string {
  return join(folder.kubeconfigs, `${name}.yaml`)
}

/** From another folder than this one, as people do: no path in a kubeconfig may be relative. */
export async function checkPeople(
  json: SandboxJson,
  folder: Pick<SandboxFolder, 'kubectlCache'>,
  signal: AbortSignal | undefined,
): Promise<void> {
  await Promise.all(
    Object.entries(json.users).map(async ([name, { kubeconfig }]) => {
      const command = ['auth', 'whoami', '-o=jsonpath={.status.userInfo.username}']
      const username = await runKubectl(command, {
        kubectl: json.kubectl,
        kubeconfig,
        cwd: '/',
        cacheDir: folder.kubectlCache,
        signal,
      })
      if (username !== name) {
        throw new Error(`the kubeconfig of ${name} signs in as "${username}"`)
      }
    }),
  )
}

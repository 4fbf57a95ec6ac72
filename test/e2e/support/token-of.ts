/** A person's token, for clients that must not start the credential plugin each time. */
import { run } from './kubectl.ts'
import type { Shop } from './shop.ts'

interface PersonConfig {
  clusters: { name: string; cluster: Record<string, unknown> }[]
  users: { name: string; user: { exec: { command: string; args: string[] } } }[]
}

export interface PersonAccess {
  token: string
  /** A kubeconfig with the token in it, for the gateway at `address` under its own certificate. */
  kubeconfigFor(address: string): string
}

/** Good for as long as an id token of the sandbox lives. */
export async function accessOf(
  shop: Shop,
  person: 'ana' | 'bo' | 'cy' | 'dpo',
): Promise<PersonAccess> {
  const { kubectl, users } = shop.sandbox.json
  const file = `--kubeconfig=${users[person].kubeconfig}`
  const view = await run(kubectl, [file, 'config', 'view', '--raw', '--output=json'])
  const config = JSON.parse(view.stdout) as PersonConfig
  const [user] = config.users
  if (user === undefined) throw new Error(`no user in the kubeconfig of ${person}: ${view.stderr}`)
  const plugin = await run(user.user.exec.command, user.user.exec.args)
  if (plugin.code !== 0) throw new Error(plugin.stderr)
  const { token } = (JSON.parse(plugin.stdout) as { status: { token: string } }).status
  return {
    token,
    kubeconfigFor: (address) =>
      JSON.stringify({
        ...config,
        clusters: config.clusters.map(({ name, cluster }) => ({
          name,
          cluster: { ...cluster, server: `https://${address}`, 'tls-server-name': 'localhost' },
        })),
        users: [{ name: user.name, user: { token } }],
      }),
  }
}

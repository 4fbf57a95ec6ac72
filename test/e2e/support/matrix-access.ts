/** How the version matrix signs in at the gateway. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from './kubectl.ts'
import type { Shop } from './shop.ts'

/**
 * Ana's token in a file: kubectl 1.20 knows the credential plugin in an older version only, and a
 * plugin started hundreds of times would take longer than what is tested here.
 */
export class TokenAccess {
  readonly kubeconfig: string
  readonly #shop: Shop
  readonly #folder: string
  readonly #tokenFile: string

  constructor(shop: Shop, folder: string) {
    this.#shop = shop
    this.#folder = folder
    this.kubeconfig = join(folder, 'ana.kubeconfig')
    this.#tokenFile = join(folder, 'ana.token')
  }

  async refresh(): Promise<void> {
    const config = await this.#read()
    const [ana] = config.users
    const plugin = await run(ana.user.exec.command, ana.user.exec.args)
    const { status } = JSON.parse(plugin.stdout) as { status: { token: string } }
    await writeFile(this.#tokenFile, status.token, { mode: 0o600 })
    const users = [{ name: ana.name, user: { tokenFile: this.#tokenFile } }]
    await writeFile(this.kubeconfig, JSON.stringify({ ...config, users }))
  }

  /** The kubeconfig ana has; for kubectl before 1.22 in the older words for plugins. */
  async withPlugin(isOld: boolean): Promise<string> {
    if (!isOld) return this.#shop.sandbox.json.users.ana.kubeconfig
    const config = await this.#read()
    config.users[0].user.exec.apiVersion = 'client.authentication.k8s.io/v1beta1'
    const file = join(this.#folder, 'old.kubeconfig')
    await writeFile(file, JSON.stringify(config))
    return file
  }

  async #read(): Promise<PluginConfig> {
    const { json } = this.#shop.sandbox
    const view = ['config', 'view', '--raw', '--output=json']
    const own = await run(json.kubectl, [`--kubeconfig=${json.users.ana.kubeconfig}`, ...view])
    return JSON.parse(own.stdout) as PluginConfig
  }
}

interface PluginConfig {
  users: [{ name: string; user: { exec: { apiVersion: string; command: string; args: string[] } } }]
}

/** Writes kubeconfig files that carry their certificates inside, so that they work from any folder. */
import { writeFileSync } from 'node:fs'

import { stringify } from 'yaml'

import type { KeyPair } from './pki.ts'

export interface KubeconfigOptions {
  name: string
  server: string
  authority: string
  client: KeyPair
  user: string
}

export function renderKubeconfig(options: KubeconfigOptions): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: options.name,
        cluster: {
          server: options.server,
          'certificate-authority-data': base64(options.authority),
        },
      },
    ],
    users: [
      {
        name: options.user,
        user: {
          'client-certificate-data': base64(options.client.certificate),
          'client-key-data': base64(options.client.privateKey),
        },
      },
    ],
    contexts: [{ name: options.name, context: { cluster: options.name, user: options.user } }],
    'current-context': options.name,
  })
}

export function writeKubeconfig(file: string, options: KubeconfigOptions): void {
  writeFileSync(file, renderKubeconfig(options), { mode: 0o600 })
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

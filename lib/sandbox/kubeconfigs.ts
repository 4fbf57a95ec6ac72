/**
 * A kubeconfig of the gateway for each person. It works from any folder and with any PATH: every
 * path in it is absolute, certificates are inside, and the credential plugin is run by the very
 * node that runs the sandbox.
 */
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { stringify } from 'yaml'

export interface PersonKubeconfig {
  file: string
  /** Where the person's tokens are kept. */
  cacheFile: string
  person: string
  namespace: string
  server: string
  /** PEM of the sandbox's authority. */
  authority: string
  caFile: string
  /** The kubectl-podgate program. */
  program: string
}

export async function writePersonKubeconfig(options: PersonKubeconfig): Promise<void> {
  const name = 'podgate'
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: {
          server: options.server,
          'certificate-authority-data': Buffer.from(options.authority).toString('base64'),
        },
      },
    ],
    users: [{ name: options.person, user: { exec: execPlugin(options) } }],
    contexts: [
      { name, context: { cluster: name, user: options.person, namespace: options.namespace } },
    ],
    'current-context': name,
  }
  await writeFile(options.file, stringify(config), { mode: 0o600 })
}

function execPlugin(options: PersonKubeconfig): object {
  return {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: [
      options.program,
      'credential',
      `--server=${options.server}`,
      `--ca-file=${options.caFile}`,
      `--cache=${options.cacheFile}`,
    ],
    interactiveMode: 'IfAvailable',
    provideClusterInfo: false,
    installHint: `the sandbox's node (${process.execPath}) is gone; run npm ci and npm start again`,
  }
}

/** A folder for PATH with the kubectl of the cluster and the plugins `approve` and `podgate`. */
export async function writePrograms(
  folder: string,
  programs: { kubectl: string; scripts: Readonly<Record<string, string>> },
): Promise<void> {
  await mkdir(folder, { recursive: true })
  const link = join(folder, 'kubectl')
  await rm(link, { force: true })
  await symlink(programs.kubectl, link)
  for (const [name, script] of Object.entries(programs.scripts)) {
    const file = join(folder, name)
    await writeFile(
      file,
      `#!/bin/sh\nexec ${shellQuote(process.execPath)} ${shellQuote(script)} "$@"\n`,
    )
    await chmod(file, 0o755)
  }
}

export function shellQuote(text: string): string {
  return /^[\w./:@%+=,-]+$/u.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

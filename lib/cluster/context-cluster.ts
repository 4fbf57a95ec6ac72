/** A cluster that is there already: one context of the user's kubeconfig. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { errorText, GatewayError } from '../errors/gateway-error.ts'
import { runProgram } from './run-program.ts'

export interface ContextClusterOptions {
  context: string
  stateDir: string
  kubectl: string
}

export interface ContextCluster {
  adminKubeconfig: string
  close(): Promise<void>
}

/** Takes the one context out of the kubeconfig, so that a later `use-context` changes nothing here. */
export async function useContextCluster(options: ContextClusterOptions): Promise<ContextCluster> {
  const { context, kubectl } = options
  const stateDir = resolve(options.stateDir)
  const view = ['config', 'view', '--minify', '--flatten', '--raw', `--context=${context}`]
  const config = await orExplain(
    runProgram(kubectl, view),
    `your kubeconfig has no context "${context}"; "kubectl config get-contexts" lists them`,
  )
  mkdirSync(stateDir, { recursive: true, mode: 0o700 })
  const adminKubeconfig = join(stateDir, 'admin.kubeconfig')
  writeFileSync(adminKubeconfig, config, { mode: 0o600 })
  const ready = [
    '--kubeconfig',
    adminKubeconfig,
    '--request-timeout=10s',
    'get',
    '--raw',
    '/readyz',
  ]
  await orExplain(
    runProgram(kubectl, ready),
    `the cluster of context "${context}" does not answer, or does not let you in`,
  )
  return {
    adminKubeconfig,
    async close() {
      rmSync(adminKubeconfig, { force: true })
    },
  }
}

async function orExplain<T>(work: Promise<T>, explanation: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw new GatewayError('ServiceUnavailable', `${explanation} (${errorText(error).trim()})`, {
      cause: error,
    })
  }
}

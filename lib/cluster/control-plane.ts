/**
 * A real control plane on this machine: etcd, kube-apiserver and, where asked
 * for, kube-controller-manager and kube-scheduler. Needs no root.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { requestApi } from './api-request.ts'
import {
  apiServerArguments,
  DEFAULT_AUDIT_POLICY,
  etcdArguments,
} from './control-plane-arguments.ts'
import { ensurePackages, ETCD_PACKAGE } from './debian-packages.ts'
import { buildGoModule } from './build.ts'
import { type GoModule, KUBERNETES } from './go-programs.ts'
import { type KubeconfigOptions, writeKubeconfig } from './kubeconfig.ts'
import { openInstance, type OpenInstance } from './lifecycle.ts'
import { type ClusterPki, createClusterPki, type PkiFiles, writePki } from './cluster-pki.ts'
import { type Program, startProgram, waitUntil } from './processes.ts'
import { superviseProgram } from './supervise.ts'
import { type Progress, silentProgress } from './progress.ts'

const READY_TIMEOUT_MS = 120_000
const API_SERVER_GRACE_MS = 2000

export interface ControlPlaneOptions {
  /** Shows in the kubeconfig as the cluster's name. */
  name?: string
  /** A folder for this control plane alone; removed by close(). */
  stateDir: string
  progress?: Progress
  /** Makes service accounts, garbage collects; without it namespaces are never deleted. */
  controllerManager?: boolean
  scheduler?: boolean
  /** Writes what the API server saw to `auditLog`; `policy` is an audit.k8s.io/v1 Policy. */
  audit?: boolean | { policy: string }
  /** Another version of kube-apiserver than that of all the rest. */
  apiServer?: GoModule
  apiServerFlags?: readonly string[]
  keepState?: boolean
}

export interface ControlPlane {
  /** Path of a kubeconfig with full rights, straight to the API server. */
  adminKubeconfig: string
  /** https://127.0.0.1:PORT */
  server: string
  caFile: string
  /** Path of the kubectl of the same version. */
  kubectl: string
  /** Path of the audit log, where one was asked for. */
  auditLog?: string
  stopApiServer(): Promise<void>
  startApiServer(): Promise<void>
  restartApiServer(): Promise<void>
  close(): Promise<void>
}

/** What the node part needs beyond the public face. */
export interface ControlPlaneParts {
  options: ControlPlaneOptions & { name: string }
  instance: OpenInstance
  binaries: string
  /** The folder of kube-apiserver. */
  apiServerBinaries: string
  pki: ClusterPki
  files: PkiFiles
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const parts = await prepareControlPlane(options)
  try {
    return await bringUpControlPlane(parts)
  } catch (error) {
    await parts.instance.close()
    throw error
  }
}

/** Everything up to the first program: packages, binaries, a place on the machine, certificates. */
export async function prepareControlPlane(
  options: ControlPlaneOptions,
): Promise<ControlPlaneParts> {
  const progress = options.progress ?? silentProgress
  await ensurePackages([ETCD_PACKAGE], progress)
  const binaries = await buildGoModule(KUBERNETES, { progress })
  const apiServerBinaries =
    options.apiServer === undefined
      ? binaries
      : await buildGoModule(options.apiServer, { progress })
  const pki = await createClusterPki()
  const name = options.name ?? 'podgate'
  const instance = await openInstance({
    name,
    stateDir: options.stateDir,
    ...(options.keepState === undefined ? {} : { keepState: options.keepState }),
  })
  const files = writePki(join(instance.stateDir, 'pki'), pki)
  progress.update({ what: 'Starting the control plane' })
  return { options: { ...options, name }, instance, binaries, apiServerBinaries, pki, files }
}

export async function bringUpControlPlane(start: ControlPlaneParts): Promise<ControlPlane> {
  const { options, instance, binaries, pki, files } = start
  const { ports, stateDir } = instance
  const server = `https://127.0.0.1:${ports.apiServer}`
  const adminKubeconfig = writeConfig(start, 'admin', { user: 'admin', client: pki.admin, server })
  const etcd = startProgram(instance, {
    name: 'etcd',
    command: 'etcd',
    args: etcdArguments(stateDir, ports, files),
  })
  const apiServer = apiServerControl(start, etcd)
  await apiServer.start()
  if (options.controllerManager === true) startController(start, 'controller-manager', server)
  if (options.scheduler === true) startController(start, 'scheduler', server)
  return {
    adminKubeconfig,
    server,
    caFile: files.authority.certificate,
    kubectl: join(binaries, 'kubectl'),
    ...(apiServer.auditLog === undefined ? {} : { auditLog: apiServer.auditLog }),
    stopApiServer: apiServer.stop,
    startApiServer: apiServer.start,
    async restartApiServer() {
      await apiServer.stop()
      await apiServer.start()
    },
    close: () => instance.close(),
  }
}

interface ApiServerControl {
  auditLog: string | undefined
  start(): Promise<void>
  stop(): Promise<void>
}

function apiServerControl(start: ControlPlaneParts, etcd: Program): ApiServerControl {
  const { options, instance, apiServerBinaries, pki, files } = start
  const audit = writeAuditPolicy(start)
  const args = [
    ...apiServerArguments(instance.ports, files),
    ...audit.flags,
    ...(options.apiServerFlags ?? []),
  ]
  let running: Program | undefined
  return {
    auditLog: audit.log,
    async start() {
      if (running !== undefined && running.ended === undefined) return
      const program = startProgram(instance, {
        name: 'kube-apiserver',
        command: join(apiServerBinaries, 'kube-apiserver'),
        args,
      })
      running = program
      await waitUntil(
        async () => {
          const answer = await requestApi({
            port: instance.ports.apiServer,
            path: '/readyz',
            authority: pki.authority.certificate,
            client: pki.admin,
          })
          return answer.status === 200
        },
        { what: 'the API server', timeoutMs: READY_TIMEOUT_MS, programs: [etcd, program] },
      )
    },
    async stop() {
      const program = running
      if (program === undefined) return
      running = undefined
      // It waits for open watches; a client that holds one must not hold up a test.
      await program.stop(API_SERVER_GRACE_MS)
    },
  }
}

function writeAuditPolicy({ options, instance }: ControlPlaneParts): {
  flags: string[]
  log: string | undefined
} {
  const { audit } = options
  if (audit === undefined || audit === false) return { flags: [], log: undefined }
  const policyFile = join(instance.stateDir, 'audit-policy.yaml')
  writeFileSync(policyFile, typeof audit === 'object' ? audit.policy : DEFAULT_AUDIT_POLICY)
  const folder = join(instance.stateDir, 'logs')
  mkdirSync(folder, { recursive: true })
  const log = join(folder, 'audit.log')
  return { flags: [`--audit-policy-file=${policyFile}`, `--audit-log-path=${log}`], log }
}

function startController(
  start: ControlPlaneParts,
  kind: 'controller-manager' | 'scheduler',
  server: string,
): void {
  const { instance, binaries, pki, files } = start
  const client = kind === 'scheduler' ? pki.scheduler : pki.controllerManager
  const kubeconfig = writeConfig(start, kind, { user: kind, client, server })
  const port = kind === 'scheduler' ? instance.ports.scheduler : instance.ports.controllerManager
  const own =
    kind === 'scheduler'
      ? []
      : [
          `--service-account-private-key-file=${files.serviceAccountPrivateKey}`,
          `--root-ca-file=${files.authority.certificate}`,
          '--use-service-account-credentials=true',
        ]
  const program = superviseProgram(instance, {
    name: `kube-${kind}`,
    command: join(binaries, `kube-${kind}`),
    args: [
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${join(instance.stateDir, 'pki')}`,
      '--leader-elect=false',
      ...own,
    ],
  })
  instance.beforeClose.push(() => program.stop(0))
}

function writeConfig(
  { options, instance, pki }: ControlPlaneParts,
  name: string,
  config: Pick<KubeconfigOptions, 'user' | 'client' | 'server'>,
): string {
  const file = join(instance.stateDir, `${name}.kubeconfig`)
  writeKubeconfig(file, { ...config, name: options.name, authority: pki.authority.certificate })
  return file
}

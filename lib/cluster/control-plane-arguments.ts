/** The command lines of etcd and kube-apiserver. Everything listens on 127.0.0.1 only. */
import { join } from 'node:path'

import type { Instance } from './instance.ts'
import type { PkiFiles } from './cluster-pki.ts'

/** What was asked and by whom, without bodies and without the control plane's own chatter. */
export const DEFAULT_AUDIT_POLICY = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"]
- level: Metadata
`

export function etcdArguments(
  stateDir: string,
  ports: Instance['ports'],
  files: PkiFiles,
): string[] {
  const client = `https://127.0.0.1:${ports.etcd}`
  const peer = `https://127.0.0.1:${ports.etcdPeer}`
  const { certificate, privateKey } = files.etcd
  return [
    '--name=podgate',
    `--data-dir=${join(stateDir, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=podgate=${peer}`,
    // All Secrets are in there: other users of this machine must not read them.
    '--client-cert-auth',
    `--trusted-ca-file=${files.etcdAuthority.certificate}`,
    `--cert-file=${certificate}`,
    `--key-file=${privateKey}`,
    '--peer-client-cert-auth',
    `--peer-trusted-ca-file=${files.etcdAuthority.certificate}`,
    `--peer-cert-file=${certificate}`,
    `--peer-key-file=${privateKey}`,
    // Nothing here outlives the machine, and fsync makes up most of the start-up time.
    '--unsafe-no-fsync',
    '--log-level=warn',
    '--logger=zap',
  ]
}

export function apiServerArguments(ports: Instance['ports'], files: PkiFiles): string[] {
  return [
    `--etcd-servers=https://127.0.0.1:${ports.etcd}`,
    `--etcd-cafile=${files.etcdAuthority.certificate}`,
    `--etcd-certfile=${files.etcd.certificate}`,
    `--etcd-keyfile=${files.etcd.privateKey}`,
    `--secure-port=${ports.apiServer}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--tls-cert-file=${files.apiServer.certificate}`,
    `--tls-private-key-file=${files.apiServer.privateKey}`,
    `--client-ca-file=${files.authority.certificate}`,
    `--service-account-key-file=${files.serviceAccountPublicKey}`,
    `--service-account-signing-key-file=${files.serviceAccountPrivateKey}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--authorization-mode=Node,RBAC',
    `--kubelet-client-certificate=${files.apiServerClient.certificate}`,
    `--kubelet-client-key=${files.apiServerClient.privateKey}`,
    `--kubelet-certificate-authority=${files.authority.certificate}`,
    // The node's address may not be a loopback one, its name may resolve to one.
    '--kubelet-preferred-address-types=Hostname',
    '--allow-privileged=true',
    // Nothing serves the "kubernetes" service on a node's address.
    '--endpoint-reconciler-type=none',
    '--profiling=false',
  ]
}

/** All certificates and keys of one cluster, and the files its programs read them from. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { createAuthority, createSigningKey, issueCertificate, type KeyPair } from './pki.ts'

/** A name that resolves to 127.0.0.1 everywhere, so that the API server reaches the kubelet by it. */
export const NODE_NAME = 'localhost'

const SERVER_HOSTS = [
  'localhost',
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  '127.0.0.1',
  '10.96.0.1',
]

export interface ClusterPki {
  authority: KeyPair
  /** Apart from the cluster's: a client certificate of a user must not open etcd. */
  etcdAuthority: KeyPair
  etcd: KeyPair
  apiServer: KeyPair
  apiServerClient: KeyPair
  kubeletServer: KeyPair
  kubelet: KeyPair
  controllerManager: KeyPair
  scheduler: KeyPair
  admin: KeyPair
  serviceAccount: { privateKey: string; publicKey: string }
}

export async function createClusterPki(): Promise<ClusterPki> {
  const [authority, etcdAuthority, serviceAccount] = await Promise.all([
    createAuthority('podgate-cluster'),
    createAuthority('podgate-etcd'),
    createSigningKey(),
  ])
  const client = async (commonName: string, organizations: string[] = []): Promise<KeyPair> =>
    await issueCertificate(authority, { commonName, organizations, usages: ['client'] })
  const [etcd, apiServer, kubeletServer, ...clients] = await Promise.all([
    issueCertificate(etcdAuthority, {
      commonName: 'etcd',
      hosts: ['localhost', '127.0.0.1'],
      usages: ['server', 'client'],
    }),
    issueCertificate(authority, {
      commonName: 'kube-apiserver',
      hosts: SERVER_HOSTS,
      usages: ['server'],
    }),
    issueCertificate(authority, {
      commonName: `system:node:${NODE_NAME}`,
      hosts: [NODE_NAME, '127.0.0.1'],
      usages: ['server'],
    }),
    // The group is bound to system:kubelet-api-admin nowhere by default, so the API server is a master.
    client('kube-apiserver-kubelet-client', ['system:masters']),
    client(`system:node:${NODE_NAME}`, ['system:nodes']),
    client('system:kube-controller-manager'),
    client('system:kube-scheduler'),
    client('admin', ['system:masters']),
  ])
  const [apiServerClient, kubelet, controllerManager, scheduler, admin] = clients
  return {
    authority,
    etcdAuthority,
    etcd,
    apiServer,
    apiServerClient,
    kubeletServer,
    kubelet,
    controllerManager,
    scheduler,
    admin,
    serviceAccount,
  }
}

export interface PairFiles {
  certificate: string
  privateKey: string
}

export interface PkiFiles {
  authority: { certificate: string }
  etcdAuthority: { certificate: string }
  etcd: PairFiles
  apiServer: PairFiles
  apiServerClient: PairFiles
  kubeletServer: PairFiles
  serviceAccountPrivateKey: string
  serviceAccountPublicKey: string
}

/** The authorities' own keys stay in memory: no program needs them. */
export function writePki(folder: string, pki: ClusterPki): PkiFiles {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const write = (name: string, content: string): string => {
    const file = join(folder, name)
    writeFileSync(file, content, { mode: 0o600 })
    return file
  }
  const writePair = (name: string, pair: KeyPair): PairFiles => ({
    certificate: write(`${name}.crt`, pair.certificate),
    privateKey: write(`${name}.key`, pair.privateKey),
  })
  return {
    authority: { certificate: write('ca.crt', pki.authority.certificate) },
    etcdAuthority: { certificate: write('etcd-ca.crt', pki.etcdAuthority.certificate) },
    etcd: writePair('etcd', pki.etcd),
    apiServer: writePair('apiserver', pki.apiServer),
    apiServerClient: writePair('apiserver-kubelet-client', pki.apiServerClient),
    kubeletServer: writePair('kubelet-server', pki.kubeletServer),
    serviceAccountPrivateKey: write('sa.key', pki.serviceAccount.privateKey),
    serviceAccountPublicKey: write('sa.pub', pki.serviceAccount.publicKey),
  }
}

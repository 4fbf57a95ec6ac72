/** What the measurements need in the cluster. */
import { stringify } from 'yaml'

export const NAMESPACE = 'podgate-bench'
export const CROWD_NAMESPACE = 'podgate-bench-crowd'
/** Everything of it is masked and kept. */
export const POD = 'bench-0'
/** Nothing of it is masked, and only digests of it are kept. */
export const PLAIN_POD = 'bench-plain-0'
/** Everything of it is masked, and only digests of it are kept. */
export const MASKED_DIGEST_POD = 'bench-digest-0'
export const CROWD = 500

/** With the label that policies know them by. */
export const PODS: Record<string, string> = {
  [POD]: 'bench',
  [PLAIN_POD]: 'bench-plain',
  [MASKED_DIGEST_POD]: 'bench-digest',
}

const DETECTORS = ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress']

function pod(image: string, spec: object, metadata: object): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      ...spec,
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'],
        },
      ],
    },
  }
}

/** The dev group may look, and open streams: for the API server that is one right, asked by two verbs. */
function rights(namespace: string): object[] {
  const group = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'dev' }
  const bind = (name: string, kind: string, role: string): object => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name, namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
    subjects: [group],
  })
  return [
    bind('view', 'ClusterRole', 'view'),
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'shell', namespace },
      rules: [
        {
          apiGroups: [''],
          resources: ['pods/exec', 'pods/portforward'],
          verbs: ['get', 'create'],
        },
      ],
    },
    bind('shell', 'Role', 'shell'),
  ]
}

function documents(items: readonly object[]): string {
  return items.map((item) => stringify(item)).join('---\n')
}

interface PolicyParts {
  match: { operations: string[] }
  [limits: string]: object
}

function policy(name: string, app: string, { match, ...limits }: PolicyParts): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      effect: 'Allow',
      subjects: [{ kind: 'Group', name: 'dev' }],
      match: { ...match, podSelector: { matchLabels: { app } } },
      ...limits,
    },
  }
}

/**
 * One pod for all three ways in: its namespace is left open for direct streams, and the gateway
 * decides, masks and records in it all the same.
 */
export function benchManifest(image: string): string {
  return documents([
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE, labels: { 'podgate.dev/guard': 'disabled' } },
    },
    ...rights(NAMESPACE),
    policy('masked', 'bench', {
      match: { operations: ['Exec'] },
      masking: { detectors: DETECTORS },
    }),
    policy('masked-copies', 'bench', {
      match: { operations: ['Copy'] },
      masking: { detectors: DETECTORS },
      copy: { maskText: true },
      recording: { content: 'Full' },
    }),
    policy('masked-digest', 'bench-digest', {
      match: { operations: ['Exec'] },
      masking: { detectors: DETECTORS },
      recording: { content: 'Digest' },
    }),
    policy('plain', 'bench-plain', {
      match: { operations: ['Exec', 'Copy', 'PortForward'] },
      recording: { content: 'Digest' },
    }),
    ...Object.entries(PODS).map(([name, app]) =>
      pod(image, {}, { name, namespace: NAMESPACE, labels: { app } }),
    ),
  ])
}

/** Many pods that cost the node nothing: no node has what they ask for. */
export function crowdManifest(image: string): string {
  const metadata = (index: number): object => ({
    name: `crowd-${String(index).padStart(3, '0')}`,
    namespace: CROWD_NAMESPACE,
    labels: { app: 'crowd', shard: String(index % 10) },
  })
  return documents([
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: CROWD_NAMESPACE } },
    ...rights(CROWD_NAMESPACE),
    ...Array.from({ length: CROWD }, (_, index) =>
      pod(image, { nodeSelector: { 'podgate.dev/bench': 'nowhere' } }, metadata(index)),
    ),
  ])
}

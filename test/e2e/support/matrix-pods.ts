/**
 * The namespace of the version matrix. Its guard is off, so that the same pods can be reached
 * directly as well: what the gateway gives is compared with what the API server gives.
 */
import type { Shop } from './shop.ts'

export const MATRIX_NAMESPACE = 'matrix'

const DEV = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'dev' }
const ALL_VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete']

/** One pod for each version, since whoever is attached sees what others type. */
export function boxName(version: string): string {
  return `box-${version.replace('.', '-')}`
}

/** Applies it all and waits until it runs. `operations` are those of the policy. */
export async function openMatrixNamespace(
  shop: Shop,
  versions: readonly string[],
  operations: readonly string[],
): Promise<void> {
  const image = shop.sandbox.cluster.demoImage
  const running = [...versions.map(boxName), 'multi-0', 'talker-0', 'debugged-0']
  const items = [
    { ...namespace(), metadata: { name: MATRIX_NAMESPACE, labels: GUARD_OFF } },
    ...access(),
    policy(operations),
    ...versions.map((version) => pod(boxName(version), image, [box()])),
    pod('multi-0', image, [idle('main'), idle('sidecar')]),
    pod('talker-0', image, [talker()]),
    pod('debugged-0', image, [idle('main')]),
    pod('ended-0', image, [ended()], 'Never'),
    pod('twice-0', image, [twice()]),
  ]
  for (const item of items) await shop.apply(item)
  await waitFor(shop, 'condition=Ready', running)
  await waitFor(shop, 'jsonpath={.status.phase}=Succeeded', ['ended-0'])
  await waitFor(shop, 'jsonpath={.status.containerStatuses[0].restartCount}=1', ['twice-0'])
  await waitFor(shop, 'condition=Ready', ['twice-0'])
}

async function waitFor(shop: Shop, what: string, pods: readonly string[]): Promise<void> {
  const names = pods.map((name) => `pod/${name}`)
  const result = await shop.admin(
    ['wait', '-n', MATRIX_NAMESPACE, `--for=${what}`, '--timeout=90s', ...names],
    { timeoutMs: 100_000 },
  )
  if (result.code !== 0) throw new Error(result.stderr)
}

const GUARD_OFF = { 'podgate.dev/guard': 'disabled' }

function namespace(): { apiVersion: string; kind: string } {
  return { apiVersion: 'v1', kind: 'Namespace' }
}

function access(): object[] {
  const rbac = 'rbac.authorization.k8s.io'
  const metadata = { name: 'matrix', namespace: MATRIX_NAMESPACE }
  const streams = ['pods/exec', 'pods/attach', 'pods/portforward', 'pods/log']
  return [
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        {
          apiGroups: [''],
          resources: ['pods', 'events', 'pods/ephemeralcontainers', ...streams],
          verbs: ALL_VERBS,
        },
      ],
    },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name: 'matrix' },
      subjects: [DEV],
    },
  ]
}

/** Nothing is masked, so that bytes can be compared. */
function policy(operations: readonly string[]): object {
  return {
    apiVersion: 'podgate.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'matrix', namespace: MATRIX_NAMESPACE },
    spec: { effect: 'Allow', subjects: [{ kind: 'Group', name: 'dev' }], match: { operations } },
  }
}

interface Container {
  name: string
  command: string[]
  stdin?: boolean
  volumeMounts?: object[]
}

function pod(
  name: string,
  image: string,
  containers: readonly Container[],
  restartPolicy = 'Always',
): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: MATRIX_NAMESPACE },
    spec: {
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      restartPolicy,
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: containers.map((container) => ({
        ...container,
        image,
        imagePullPolicy: 'IfNotPresent',
      })),
    },
  }
}

const IDLE = 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'

function shell(name: string, script: string): Container {
  return { name, command: ['sh', '-c', script] }
}

/** What it is sent on port 9000 it answers with the digest of; it also serves a program of some megabytes. */
const SERVER = String.raw`
mkdir -p /www/cgi-bin && cd /www/cgi-bin
printf '%s\n' '#!/bin/sh' 'printf "Content-Type: text/plain\r\n\r\n"' 'head -c $CONTENT_LENGTH | sha256sum' > digest
chmod +x digest
cp /bin/busybox /www/program
httpd -p 9000 -h /www
`.trim()

/** A web server that also answers each line it is given. */
function box(): Container {
  const answer = 'while :; do if read -r line; then echo "you said: $line"; else sleep 1; fi; done'
  return { ...shell('main', `${SERVER}\n${answer}`), stdin: true }
}

function idle(name: string): Container {
  return shell(name, IDLE)
}

/** On one stream: the runtime reads two of them in any order, and keeps that in its log. */
function talker(): Container {
  return shell('main', `echo one; echo two; echo drei; ${IDLE}`)
}

function ended(): Container {
  return shell('main', 'for i in 1 2 3 4 5; do echo "line $i: grüße"; done')
}

/** Its first run fails, so that there is a previous log. */
function twice(): Container {
  const first = 'touch /data/been && echo first && exit 1'
  return {
    ...shell('main', `[ -e /data/been ] || { ${first}; }; echo second; ${IDLE}`),
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  }
}

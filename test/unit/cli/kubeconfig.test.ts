import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { loadContext } from '../../../lib/cli/kubeconfig.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podgate-kubeconfig-'))
  const files: Record<string, string> = {
    'one.yaml': `
apiVersion: v1
kind: Config
current-context: dev
contexts:
- name: dev
  context: {cluster: gateway, user: ana, namespace: shop}
- name: plain
  context: {cluster: gateway}
- name: no-cluster
  context: {cluster: nowhere, user: ana}
- name: no-user
  context: {cluster: gateway, user: nobody}
- name: old
  context: {cluster: gateway, user: old}
- name: half
  context: {cluster: gateway, user: half}
clusters:
- name: gateway
  cluster:
    server: https://gw.example.com/clusters/one
    certificate-authority: pki/ca.crt
    tls-server-name: gw.internal
    extensions:
    - name: client.authentication.k8s.io/exec
      extension: {audience: x}
    - name: other
      extension: {no: thing}
users:
- name: ana
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./bin/login
      args: [credential, --cluster=one]
      env: [{name: A, value: b}]
      interactiveMode: IfAvailable
      provideClusterInfo: true
      installHint: install it
- name: old
  user: {auth-provider: {name: gcp}}
- name: half
  user: {as-groups: [oncall]}
`,
    'two.yaml': `
current-context: other
contexts:
- name: dev
  context: {cluster: second, user: second}
- name: other
  context: {cluster: second, user: second}
- name: mixed
  context: {cluster: gateway, user: second}
clusters:
- name: gateway
  cluster: {server: https://never.example.com}
- name: second
  cluster: {server: https://two.example.com, insecure-skip-tls-verify: true, proxy-url: http://proxy}
users:
- name: second
  user:
    as: cy
    as-uid: u-1
    as-groups: [oncall, night]
    as-user-extra: {example.com/team: [a, b]}
    token: t
    tokenFile: token
    client-certificate: c.crt
    client-key: /abs/c.key
- name: ana
  user: {token: never}
`,
    'json.json': JSON.stringify({
      'current-context': 'j',
      contexts: [{ name: 'j', context: { cluster: 'j', user: 'j' } }],
      clusters: [
        { name: 'j', cluster: { server: 'https://j', 'certificate-authority-data': 'Q0E=' } },
      ],
      users: [
        { name: 'j', user: { 'client-certificate-data': 'QQ==', 'client-key-data': 'Qg==' } },
      ],
    }),
    'broken.yaml': 'a: [1',
    'empty.yaml': '',
    'no-server.yaml': `
current-context: a
contexts: [{name: a, context: {cluster: a}}]
clusters: [{name: a, cluster: {}}]
`,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
})

afterAll(() => rm(folder, { recursive: true }))

const file = (name: string): string => join(folder, name)
const listOf = (...names: string[]): Record<string, string> => ({
  KUBECONFIG: names.map(file).join(delimiter),
  HOME: folder,
})

describe('loadContext merges the files of KUBECONFIG', () => {
  it('takes the current context of the first file that has one, and its whole entries', async () => {
    const context = await loadContext({}, listOf('missing.yaml', 'one.yaml', 'two.yaml'))
    expect(context).toMatchObject({
      name: 'dev',
      namespace: 'shop',
      namespaceGiven: false,
      cluster: {
        server: 'https://gw.example.com/clusters/one',
        caFile: join(folder, 'pki/ca.crt'),
        caData: undefined,
        tlsServerName: 'gw.internal',
        insecureSkipTlsVerify: false,
        proxyUrl: undefined,
        execExtension: { audience: 'x' },
      },
      user: {
        token: undefined,
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: join(folder, 'bin/login'),
          args: ['credential', '--cluster=one'],
          env: [{ name: 'A', value: 'b' }],
          interactiveMode: 'IfAvailable',
          provideClusterInfo: true,
          installHint: 'install it',
        },
      },
    })
  })

  it('has the order of the list decide', async () => {
    const context = await loadContext({}, listOf('two.yaml', 'one.yaml'))
    expect(context.name).toBe('other')
    expect(
      (await loadContext({ context: 'dev' }, listOf('two.yaml', 'one.yaml'))).cluster.server,
    ).toBe('https://two.example.com')
  })

  it('joins a context of one file with a cluster of another', async () => {
    const context = await loadContext({ context: 'mixed' }, listOf('one.yaml', 'two.yaml'))
    expect(context.cluster.server).toBe('https://gw.example.com/clusters/one')
    expect(context.user).toMatchObject({
      token: 't',
      tokenFile: join(folder, 'token'),
      certFile: join(folder, 'c.crt'),
      keyFile: '/abs/c.key',
      impersonation: {
        'Impersonate-User': 'cy',
        'Impersonate-Uid': 'u-1',
        'Impersonate-Group': ['oncall', 'night'],
        'Impersonate-Extra-example.com%2Fteam': ['a', 'b'],
      },
    })
  })

  it('skips empty files and empty places in the list', async () => {
    const env = { KUBECONFIG: ['', file('empty.yaml'), '', file('json.json')].join(delimiter) }
    expect(await loadContext({}, env)).toMatchObject({
      name: 'j',
      namespace: 'default',
      cluster: { caData: 'Q0E=' },
      user: { certData: 'QQ==', keyData: 'Qg==' },
    })
  })

  it('reads only the file of --kubeconfig where that is given', async () => {
    const context = await loadContext({ kubeconfig: file('json.json') }, listOf('one.yaml'))
    expect(context.name).toBe('j')
  })

  it('takes -n over the namespace of the context', async () => {
    const context = await loadContext({ namespace: 'prod' }, listOf('one.yaml'))
    expect(context).toMatchObject({ namespace: 'prod', namespaceGiven: true })
  })

  it('does without a user where the context names none', async () => {
    const context = await loadContext({ context: 'plain' }, listOf('one.yaml'))
    expect(context.user).toMatchObject({ token: undefined, exec: undefined })
  })
})

describe('loadContext says what is wrong', () => {
  it.each([
    { name: 'no file at all', flags: {}, files: ['missing.yaml'], want: 'no current context in' },
    {
      name: 'an unknown context',
      flags: { context: 'x' },
      files: ['json.json'],
      want: 'context "x" does not exist',
    },
    {
      name: 'and which there are',
      flags: { context: 'x' },
      files: ['json.json'],
      want: 'it has: j',
    },
    {
      name: 'an unknown cluster',
      flags: { context: 'no-cluster' },
      files: ['one.yaml'],
      want: 'names cluster "nowhere"',
    },
    {
      name: 'an unknown user',
      flags: { context: 'no-user' },
      files: ['one.yaml'],
      want: 'names user "nobody"',
    },
    {
      name: 'an auth-provider',
      flags: { context: 'old' },
      files: ['one.yaml'],
      want: 'uses auth-provider',
    },
    {
      name: 'groups of another without the other',
      flags: { context: 'half' },
      files: ['one.yaml'],
      want: 'as-uid, as-groups and as-user-extra need as',
    },
    {
      name: 'a cluster without server',
      flags: {},
      files: ['no-server.yaml'],
      want: 'cluster "a" of the kubeconfig has no server',
    },
    {
      name: 'a broken file',
      flags: {},
      files: ['broken.yaml'],
      want: 'broken.yaml is not valid YAML',
    },
  ])('$name', async ({ flags, files, want }) => {
    await expect(loadContext(flags, listOf(...files))).rejects.toThrow(want)
  })

  it('a file of --kubeconfig that is not there', async () => {
    await expect(loadContext({ kubeconfig: file('missing.yaml') }, {})).rejects.toThrow(
      'cannot read kubeconfig',
    )
  })
})

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'

import { issueCertificate } from '../../../lib/cluster/pki.ts'
import { startKubeApiServer, type FakeKubeApiServer } from '../../fakes/kube-api-server.ts'
import { createWorkplace, type Ended, type Workplace } from './run-program.ts'

const V1 = 'client.authentication.k8s.io/v1'
const V1BETA1 = 'client.authentication.k8s.io/v1beta1'
const NOTHING = { code: 0, out: '', err: 'No requests wait for your decision.\n' }

let server: FakeKubeApiServer
let place: Workplace
let ca: { 'certificate-authority-data': string }

beforeAll(async () => {
  place = await createWorkplace()
})

afterAll(() => place.remove())

beforeEach(async () => {
  server = await startKubeApiServer()
  server.tokens.set('good', { username: 'bo', groups: ['oncall'] })
  ca = { 'certificate-authority-data': Buffer.from(server.ca.certificate).toString('base64') }
})

afterEach(() => server.close())

const list = (): Promise<Ended> => place.run('kubectl-approve', [])

async function plugin(script: string): Promise<string> {
  await place.write('plugin', `#!/bin/sh\n${script}\n`, 0o700)
  return './plugin'
}

function credential(apiVersion: string, status: object): string {
  return `echo '${JSON.stringify({ apiVersion, kind: 'ExecCredential', status })}'`
}

describe('an exec plugin', () => {
  it.each([{ apiVersion: V1 }, { apiVersion: V1BETA1 }])(
    'is run once, and told of the cluster ($apiVersion)',
    async ({ apiVersion }) => {
      const info = join(place.folder, 'info')
      const args = join(place.folder, 'args')
      const command = await plugin(
        `echo "$KUBERNETES_EXEC_INFO" >> '${info}'; echo "$A $1" > '${args}'; ${credential(apiVersion, { token: 'good' })}`,
      )
      await place.kubeconfig(server.url, ca, {
        exec: {
          apiVersion,
          command,
          args: ['x y'],
          env: [{ name: 'A', value: 'b' }],
          provideClusterInfo: true,
          ...(apiVersion === V1 ? { interactiveMode: 'IfAvailable' } : {}),
        },
      })
      await place.write('info', '')
      expect(await list()).toMatchObject(NOTHING)
      const notes = (await readFile(info, 'utf8')).trim().split('\n')
      expect(notes.map((note) => JSON.parse(note) as unknown)).toEqual([
        {
          kind: 'ExecCredential',
          apiVersion,
          spec: { interactive: false, cluster: { server: server.url, ...ca } },
        },
      ])
      expect(await readFile(args, 'utf8')).toBe('b x y\n')
    },
  )

  it('may give a client certificate', async () => {
    const { certificate, privateKey } = await issueCertificate(server.ca, {
      commonName: 'cy',
      usages: ['client'],
    })
    const status = { clientCertificateData: certificate, clientKeyData: privateKey }
    await place.write('answer', JSON.stringify({ apiVersion: V1, kind: 'ExecCredential', status }))
    const command = await plugin(`cat '${join(place.folder, 'answer')}'`)
    await place.kubeconfig(server.url, ca, {
      exec: { apiVersion: V1, command, interactiveMode: 'Never' },
    })
    expect(await list()).toMatchObject(NOTHING)
    expect(server.seen[0]?.username).toBe('cy')
  })

  it('is asked once more when its token is refused', async () => {
    const calls = join(place.folder, 'calls')
    await place.write('calls', '')
    const command = await plugin(
      `echo x >> '${calls}'; if [ "$(wc -l < '${calls}')" = 1 ]; then ${credential(V1, { token: 'stale' })}; else ${credential(V1, { token: 'good' })}; fi`,
    )
    await place.kubeconfig(server.url, ca, {
      exec: { apiVersion: V1, command, interactiveMode: 'Never' },
    })
    // Two requests at once; both are refused, and one of them has the plugin run again.
    expect(await list()).toMatchObject(NOTHING)
    expect(await readFile(calls, 'utf8')).toBe('x\nx\n')
  })

  it.each([
    {
      name: 'fails, with its own words',
      script: 'echo "sign in at https://x" >&2; exit 3',
      want: 'sign in at https://x\nerror: getting credentials: exec plugin PLUGIN: exit code 3\n\ninstall it\n',
    },
    {
      name: 'prints no JSON',
      script: 'echo token',
      want: 'error: getting credentials: exec plugin PLUGIN: its stdout is not JSON\n\ninstall it\n',
    },
    {
      name: 'prints something else',
      script: 'echo "{}"',
      want: 'error: getting credentials: exec plugin PLUGIN: its stdout is not an ExecCredential\n\ninstall it\n',
    },
    {
      name: 'answers in another version',
      script: credential(V1BETA1, { token: 'good' }),
      want: `error: getting credentials: exec plugin PLUGIN: it answered in another version than ${V1}\n\ninstall it\n`,
    },
    {
      name: 'gives a certificate without its key',
      script: credential(V1, { clientCertificateData: 'x' }),
      want: 'error: getting credentials: exec plugin PLUGIN: a client certificate and its key must come together\n\ninstall it\n',
    },
    {
      name: 'gives nothing',
      script: credential(V1, {}),
      want: 'error: getting credentials: exec plugin PLUGIN: it gave neither a token nor a client certificate\n\ninstall it\n',
    },
  ])('that $name is told of, and the server never asked', async ({ script, want }) => {
    const command = await plugin(script)
    const exec = { apiVersion: V1, command, interactiveMode: 'Never', installHint: 'install it' }
    await place.kubeconfig(server.url, ca, { exec })
    const err = want.replace('PLUGIN', join(place.folder, 'plugin'))
    expect(await list()).toMatchObject({ code: 1, out: '', err })
    expect(server.seen).toEqual([])
  })

  it.each([
    {
      name: 'is not there',
      exec: { command: 'no-such-plugin' },
      want: 'executable no-such-plugin not found\n\ninstall it',
    },
    { name: 'needs a terminal', exec: { interactiveMode: 'Always' }, want: 'needs a terminal' },
    {
      name: 'does not say how interactive it is',
      exec: { interactiveMode: undefined },
      want: 'interactiveMode must be',
    },
    {
      name: 'speaks an unknown version',
      exec: { apiVersion: 'client.authentication.k8s.io/v1alpha1' },
      want: 'v1alpha1 is not supported',
    },
  ])('that $name is told of', async ({ exec, want }) => {
    const command = await plugin(credential(V1, { token: 'good' }))
    const base = { apiVersion: V1, command, interactiveMode: 'Never', installHint: 'install it' }
    await place.kubeconfig(server.url, ca, { exec: { ...base, ...exec } })
    const { code, err } = await list()
    expect(err).toContain(want)
    expect(code).toBe(1)
  })
})

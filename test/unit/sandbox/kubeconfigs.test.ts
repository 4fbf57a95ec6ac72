import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import {
  shellQuote,
  writePersonKubeconfig,
  writePrograms,
} from '../../../lib/sandbox/kubeconfigs.ts'

let folder: string

beforeEach(async () => {
  // The blank and the quote are what breaks careless scripts.
  folder = await mkdtemp(join(tmpdir(), "podgate kube'config-"))
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

describe("a person's kubeconfig", () => {
  it('names nothing by a relative path and is for its owner alone', async () => {
    const file = join(folder, 'ana.yaml')
    await writePersonKubeconfig({
      file,
      cacheFile: '/tokens/ana.json',
      person: 'ana',
      namespace: 'shop',
      server: 'https://127.0.0.1:8443',
      authority: 'PEM',
      caFile: '/ca.pem',
      program: '/cmd/kubectl-podgate/main.ts',
    })
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const config: unknown = parse(await readFile(file, 'utf8'))
    expect(config).toMatchObject({
      'current-context': 'podgate',
      contexts: [{ context: { cluster: 'podgate', user: 'ana', namespace: 'shop' } }],
      clusters: [
        {
          cluster: {
            server: 'https://127.0.0.1:8443',
            'certificate-authority-data': Buffer.from('PEM').toString('base64'),
          },
        },
      ],
      users: [
        {
          name: 'ana',
          user: {
            exec: {
              apiVersion: 'client.authentication.k8s.io/v1',
              command: process.execPath,
              interactiveMode: 'IfAvailable',
              provideClusterInfo: false,
              args: [
                '/cmd/kubectl-podgate/main.ts',
                'credential',
                '--server=https://127.0.0.1:8443',
                '--ca-file=/ca.pem',
                '--cache=/tokens/ana.json',
              ],
            },
          },
        },
      ],
    })
    expect(isAbsolute(process.execPath)).toBe(true)
  })
})

describe('the folder for PATH', () => {
  it('starts the plugins wherever it lies, and hands their arguments on unchanged', async () => {
    const script = join(folder, 'echo.mjs')
    await writeFile(script, 'console.log(JSON.stringify(process.argv.slice(2)))')
    const bin = join(folder, 'bin')
    const programs = { kubectl: '/bin/true', scripts: { 'kubectl-approve': script } }
    await writePrograms(bin, programs)
    // A second start of the sandbox in the same folder.
    await writePrograms(bin, programs)
    const args = ['a b', '', '$HOME', `it's`, '*']
    const output = execFileSync(join(bin, 'kubectl-approve'), args, { encoding: 'utf8', cwd: '/' })
    expect(JSON.parse(output)).toEqual(args)
    expect(await readlink(join(bin, 'kubectl'))).toBe('/bin/true')
  })
})

describe('quoting for a shell', () => {
  it.each([
    'plain',
    '/a/b-c.yaml',
    'with blank',
    `it's`,
    '$(id)',
    '`id`',
    'a"b',
    'a\\b',
    '',
    'ü',
    '*',
    '~',
  ])('brings %j through sh unchanged', (text) => {
    const output = execFileSync('sh', ['-c', `printf %s ${shellQuote(text)}`], { encoding: 'utf8' })
    expect(output).toBe(text)
  })
})

/** Every policy that the documentation shows, as a reader would apply it. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parseAllDocuments } from 'yaml'

import {
  installResources,
  namespaceNamed,
  pathFor,
  startApi,
  type Api,
  type KubeObject,
} from './harness.ts'

const GUIDE = fileURLToPath(new URL('../../../docs/how-to/write-a-policy.md', import.meta.url))

/** Whole objects; parts of one are shown without a kind. */
function examples(): { name: string; object: KubeObject }[] {
  const blocks = [...readFileSync(GUIDE, 'utf8').matchAll(/^```yaml\n(.*?)^```/gms)]
  return blocks
    .flatMap(([, text = '']) => parseAllDocuments(text).map((one) => one.toJS() as KubeObject))
    .filter(({ kind }: Partial<KubeObject>) => kind !== undefined)
    .map((object) => ({ name: `${object.kind} ${object.metadata.name}`, object }))
}

let api: Api

beforeAll(async () => {
  api = await startApi()
  await installResources(api)
  await api.create(namespaceNamed('shop'))
}, 120_000)

afterAll(async () => {
  await api.close()
})

describe('the policies of the guide', () => {
  it('name every operation', () => {
    const named = examples().flatMap(
      ({ object }) => (object['spec'] as { match: { operations: string[] } }).match.operations,
    )
    expect([...new Set(named)].toSorted()).toEqual([
      'Attach',
      'Copy',
      'Debug',
      'Exec',
      'Impersonate',
      'Logs',
      'PortForward',
      'Proxy',
      'TokenRequest',
    ])
  })

  it.each(examples())('can be applied: $name', async ({ object }) => {
    const path = `${pathFor(object)}?dryRun=All&fieldValidation=Strict`
    expect(await api.call('POST', path, { body: object })).toMatchObject({ code: 200 })
  })
})

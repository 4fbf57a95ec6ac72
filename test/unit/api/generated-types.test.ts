import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import {
  renderTypes,
  type CustomResourceDefinition,
  type Schema,
} from '../../../cmd/setup/render-types.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

function definition(plural: string): CustomResourceDefinition {
  return parse(readFileSync(`${ROOT}/crds/${plural}.yaml`, 'utf8'))
}

function withSpec(spec: Schema): CustomResourceDefinition {
  const status: Schema = { type: 'object', properties: {} }
  const schema = { openAPIV3Schema: { properties: { spec, status } } }
  return {
    spec: {
      group: 'example.dev',
      scope: 'Cluster',
      names: { kind: 'BigThing', plural: 'bigthings' },
      versions: [{ name: 'v1', schema }],
    },
  }
}

function specOf(plural: string): Schema {
  const [version] = definition(plural).spec.versions
  return version?.schema.openAPIV3Schema.properties?.['spec'] ?? {}
}

/** Paths of the fields that have no description. */
function undescribed(schema: Schema, path: string): string[] {
  const children = Object.entries(schema.properties ?? {}).flatMap(([field, child]) => [
    ...(child.description === undefined ? [`${path}.${field}`] : []),
    ...undescribed(child, `${path}.${field}`),
  ])
  return [
    ...children,
    ...(schema.items === undefined ? [] : undescribed(schema.items, `${path}[]`)),
  ]
}

describe('the types in lib/api', () => {
  it('are those of crds/', () => {
    const run = spawnSync(process.execPath, [`${ROOT}/cmd/setup/generate.ts`, '--check'], {
      encoding: 'utf8',
    })
    expect(run.stderr).toBe('')
    expect(run.status).toBe(0)
  })
})

describe('renderTypes', () => {
  it('writes fields, lists, words, maps and nested objects', () => {
    const text = renderTypes(
      withSpec({
        type: 'object',
        required: ['mode'],
        properties: {
          mode: { type: 'string', enum: ['On', 'Off'], default: 'On', description: 'How.' },
          words: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } },
          labels: { type: 'object', additionalProperties: { type: 'string' } },
          policies: {
            type: 'array',
            items: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } },
          },
        },
      }),
      'crds/x.yaml',
    )
    expect(text).toContain(`export interface BigThingSpec {
  /** How. Default: On. */
  mode: 'On' | 'Off'
  words?: ('a' | 'b')[]
  labels?: Record<string, string>
  policies?: BigThingPolicy[]
}`)
    expect(text).toContain('export interface BigThingPolicy {\n  n: number\n}')
    expect(text).toContain("apiVersion: 'example.dev/v1'")
    expect(text).toContain('export const BIG_THING: ResourceInfo = {')
    expect(text).toContain('namespaced: false')
  })

  it.each<{ name: string; spec: Schema; message: string }>([
    {
      name: 'a value of any type',
      spec: { type: 'object', properties: { a: {} } },
      message: 'no TypeScript type',
    },
    { name: 'an object without fields', spec: { type: 'object' }, message: 'without properties' },
    {
      name: 'a list of anything',
      spec: { type: 'object', properties: { a: { type: 'array' } } },
      message: 'without items',
    },
    {
      name: 'two types of one name',
      spec: {
        type: 'object',
        properties: {
          part: { type: 'object', properties: {} },
          parts: { type: 'array', items: { type: 'object', properties: {} } },
        },
      },
      message: 'would share this type',
    },
  ])('stops at $name rather than guess', ({ spec, message }) => {
    expect(() => renderTypes(withSpec(spec), 'crds/x.yaml')).toThrow(message)
  })
})

describe('AccessPolicy and ClusterAccessPolicy', () => {
  it('differ in namespaceSelector alone', () => {
    const own = specOf('accesspolicies')
    const cluster = structuredClone(specOf('clusteraccesspolicies'))
    const match = cluster.properties?.['match']?.properties ?? {}
    expect(match).toHaveProperty('namespaceSelector')
    delete match['namespaceSelector']
    expect(cluster).toEqual(own)
  })

  it('select namespaces by the same rules as pods', () => {
    const match = specOf('clusteraccesspolicies').properties?.['match']?.properties ?? {}
    const [pods, namespaces] = ['podSelector', 'namespaceSelector'].map((field) =>
      JSON.parse(JSON.stringify(match[field]), (key, value: unknown) =>
        key === 'description' ? undefined : value,
      ),
    )
    expect(namespaces).toEqual(pods)
  })
})

describe('every field of our resources', () => {
  it.each(['accesspolicies', 'clusteraccesspolicies', 'approvalrequests'])(
    'is described for kubectl explain: %s',
    (plural) => {
      const [version] = definition(plural).spec.versions
      const { spec, status } = version?.schema.openAPIV3Schema.properties ?? {}
      expect(spec).toBeDefined()
      expect([...undescribed(spec ?? {}, 'spec'), ...undescribed(status ?? {}, 'status')]).toEqual(
        [],
      )
    },
  )
})

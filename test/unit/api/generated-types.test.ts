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

type Ruled = Schema & { 'x-kubernetes-validations'?: { fieldPath?: string }[] }

/** The same without the rules between fields, which name other fields. */
function withoutRules(schema: Schema): Schema {
  const { 'x-kubernetes-validations': _, ...rest }: Ruled = schema
  const match: Ruled = { ...rest.properties?.['match'] }
  delete match['x-kubernetes-validations']
  return { ...rest, properties: { ...rest.properties, match } }
}

/** Subjects without what is said and asked of the namespace of a service account. */
function withoutHome(subjects: Schema): Schema {
  const items: Ruled = { ...subjects.items }
  const { namespace: _, ...properties } = items.properties ?? {}
  const rules = items['x-kubernetes-validations'] ?? []
  const kept = rules.filter(({ fieldPath }) => fieldPath !== '.namespace')
  return { ...subjects, items: { ...items, properties, 'x-kubernetes-validations': kept } as Ruled }
}

/** The fields that rules of spec and of match point at. */
function rulesOf(spec: Ruled): string[] {
  const match: Ruled = spec.properties?.['match'] ?? {}
  return [
    ...(spec['x-kubernetes-validations'] ?? []).map(({ fieldPath }) => `spec${fieldPath ?? ''}`),
    ...(match['x-kubernetes-validations'] ?? []).map(
      ({ fieldPath }) => `spec.match${fieldPath ?? ''}`,
    ),
  ]
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
  it('differ only in what is about no single namespace', () => {
    const bare = (plural: string): Schema => withoutRules(specOf(plural))
    const own = bare('accesspolicies')
    const cluster = bare('clusteraccesspolicies')
    const match = cluster.properties?.['match']?.properties ?? {}
    for (const field of ['namespaceSelector', 'nodes', 'impersonate']) {
      expect(match).toHaveProperty(field)
      delete match[field]
    }
    const { operations } = own.properties?.['match']?.properties ?? {}
    expect(match['operations']?.items?.enum).toEqual([
      ...(operations?.items?.enum ?? []),
      'Impersonate',
    ])
    const others = (schema: Schema): object => ({
      ...schema.properties,
      subjects: withoutHome(schema.properties?.['subjects'] ?? {}),
      match: { ...schema.properties?.['match']?.properties, operations: undefined },
    })
    expect(others(cluster)).toEqual(others(own))
  })

  it('name service accounts by a namespace, which only a policy in one may leave out', () => {
    const needs = (plural: string): boolean =>
      JSON.stringify(specOf(plural).properties?.['subjects']).includes('|| has(self.namespace)')
    expect(needs('clusteraccesspolicies')).toBe(true)
    expect(needs('accesspolicies')).toBe(false)
  })

  it('have the same rules, but for those about what is in no single namespace', () => {
    const own = rulesOf(specOf('accesspolicies'))
    const cluster = rulesOf(specOf('clusteraccesspolicies'))
    const more = cluster.filter((field) => !own.includes(field))
    expect(new Set(more)).toEqual(
      new Set(['spec.match.impersonate', 'spec.match.nodes', 'spec.match.namespaceSelector']),
    )
    expect(own.filter((field) => !cluster.includes(field))).toEqual([])
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

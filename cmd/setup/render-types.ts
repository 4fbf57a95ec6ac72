/**
 * From a CustomResourceDefinition to the text of a TypeScript file. Covers what our own schemas
 * use, and stops with an error at anything else rather than writing a type that lies.
 */

export interface Schema {
  type?: string
  description?: string
  enum?: string[]
  default?: string | boolean
  required?: string[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema
  items?: Schema
}

export interface CustomResourceDefinition {
  spec: {
    group: string
    scope: 'Namespaced' | 'Cluster'
    names: { kind: string; plural: string }
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[]
  }
}

const WIDTH = 100

/** `categories` -> `Category`, `subjects` -> `Subject`; our lists have regular names. */
function itemName(field: string): string {
  return pascalCase(field.replace(/ies$/, 'y').replace(/s$/, ''))
}

function pascalCase(field: string): string {
  return field.charAt(0).toUpperCase() + field.slice(1)
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.trim().split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) {
      lines[lines.length - 1] = `${last} ${word}`
    } else lines.push(word)
  }
  return lines
}

function renderComment(schema: Schema, indent: string): string {
  const fallback = schema.default === undefined ? '' : ` Default: ${schema.default}.`
  const text = ((schema.description ?? '') + fallback).trim().replaceAll('*/', '*\u200b/')
  if (text === '') return ''
  if (indent.length + text.length + 7 <= WIDTH) return `${indent}/** ${text} */\n`
  const lines = wrap(text, WIDTH - indent.length - 3)
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join('')}${indent} */\n`
}

class Renderer {
  readonly interfaces: string[] = []
  private readonly names = new Set<string>()

  /** The type of one value; objects become interfaces of their own, named after their path. */
  typeOf(schema: Schema, name: string): string {
    if (schema.enum !== undefined) return schema.enum.map((word) => `'${word}'`).join(' | ')
    switch (schema.type) {
      case 'string':
      case 'boolean':
        return schema.type
      case 'integer':
      case 'number':
        return 'number'
      case 'array':
        return this.arrayOf(schema, name)
      case 'object':
        if (schema.additionalProperties !== undefined) {
          return `Record<string, ${this.typeOf(schema.additionalProperties, name)}>`
        }
        return this.objectOf(schema, name)
      default:
        throw new Error(`${name}: no TypeScript type for schema type ${String(schema.type)}`)
    }
  }

  arrayOf(schema: Schema, name: string): string {
    if (schema.items === undefined) throw new Error(`${name}: a list without items`)
    const item = this.typeOf(schema.items, name)
    return item.includes('|') ? `(${item})[]` : `${item}[]`
  }

  objectOf(schema: Schema, name: string): string {
    if (schema.properties === undefined) throw new Error(`${name}: an object without properties`)
    // Reserved before descending, so that a type stands above the types of its fields.
    const place = this.interfaces.push('') - 1
    if (this.names.has(name)) throw new Error(`${name}: two fields would share this type's name`)
    this.names.add(name)
    const parent = name.replace(/(Spec|Status)$/, '')
    let body = ''
    for (const [field, child] of Object.entries(schema.properties)) {
      const childName = parent + (child.type === 'array' ? itemName(field) : pascalCase(field))
      const optional = schema.required?.includes(field) === true ? '' : '?'
      body += `${renderComment(child, '  ')}  ${field}${optional}: ${this.typeOf(child, childName)}\n`
    }
    this.interfaces[place] = `${renderComment(schema, '')}export interface ${name} {\n${body}}\n`
    return name
  }
}

/** The whole file for one custom resource. */
export function renderTypes(crd: CustomResourceDefinition, source: string): string {
  const { group, scope, names, versions } = crd.spec
  const version = versions[0]
  if (version === undefined || versions.length > 1) {
    throw new Error(`${source}: exactly one version is expected`)
  }
  const { kind, plural } = names
  const schema = version.schema.openAPIV3Schema
  const spec = schema.properties?.['spec']
  const status = schema.properties?.['status']
  if (spec === undefined || status === undefined) {
    throw new Error(`${source}: spec and status are expected`)
  }
  const renderer = new Renderer()
  renderer.typeOf(spec, `${kind}Spec`)
  renderer.typeOf(status, `${kind}Status`)
  const constant = kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()
  return `// Generated from ${source} by cmd/setup/generate.ts. Do not edit; run: npm run generate
import type { ObjectMeta, ResourceInfo } from './object-meta.ts'

export const ${constant}: ResourceInfo = {
  group: '${group}',
  version: '${version.name}',
  plural: '${plural}',
  kind: '${kind}',
  namespaced: ${scope === 'Namespaced'},
}

${renderComment(schema, '')}export interface ${kind} {
  apiVersion: '${group}/${version.name}'
  kind: '${kind}'
  metadata: ObjectMeta
  spec: ${kind}Spec
  status?: ${kind}Status
}

${renderer.interfaces.join('\n')}`
}

/** The two forms of the gateway's own rights, as they are shipped. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from '@jest/globals'
import { parseAllDocuments } from 'yaml'

interface Rule {
  apiGroups?: string[]
  resources?: string[]
  nonResourceURLs?: string[]
  verbs: string[]
}

function roleOf(file: string): Rule[] {
  const text = readFileSync(join(import.meta.dirname, '../../../charts/podgate', file), 'utf8')
  const roles = parseAllDocuments(text)
    .map(
      (document) => document.toJS() as { kind: string; metadata: { name: string }; rules: Rule[] },
    )
    .filter(({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'podgate')
  return roles.flatMap(({ rules }) => rules)
}

const plain = roleOf('files/gateway-rbac.yaml')
const constrained = roleOf('alternatives/gateway-rbac-constrained.yaml')

function extrasOf(rules: Rule[]): string[] {
  const all = rules.flatMap(({ resources = [] }) => resources)
  return [...new Set(all.filter((resource) => resource.startsWith('userextras/')))].sort()
}

const isOwn = ({ verbs }: Rule): boolean => verbs.every((verb) => !verb.startsWith('impersonate'))

const isName = (resource: string): boolean => !/^(?:uids|userextras\/.*)$/.test(resource)

describe("the gateway's own rights", () => {
  it('tell the API server of the same extras in both forms', () => {
    expect(extrasOf(plain).length).toBeGreaterThan(0)
    expect(extrasOf(constrained)).toEqual(extrasOf(plain))
  })

  it('are the same in both forms where it acts as itself', () => {
    expect(constrained.filter(isOwn)).toEqual(plain.filter(isOwn))
  })

  it('hold in the constrained form nothing that would make it void', () => {
    for (const { apiGroups = [], resources = [], verbs: of } of constrained) {
      expect(of).not.toContain('*')
      // The old way is asked last, and asks for no more than a name.
      if (of.includes('impersonate')) expect(resources.filter(isName)).toEqual([])
      if (of.some((verb) => verb.startsWith('impersonate-on:'))) {
        expect(apiGroups).not.toContain('*')
        expect(apiGroups.includes('') && resources.includes('*')).toBe(false)
        expect(resources).not.toContain('secrets')
        expect(apiGroups).not.toContain('rbac.authorization.k8s.io')
      }
    }
  })

  it('let nobody but people be impersonated', () => {
    const modes = constrained.flatMap(({ verbs }) =>
      verbs.filter((verb) => verb.startsWith('impersonate:')),
    )
    expect(new Set(modes)).toEqual(new Set(['impersonate:user-info']))
  })

  it('never reach every resource in the plain form either', () => {
    for (const { resources = [], verbs } of plain) {
      expect(verbs).not.toContain('*')
      expect(resources).not.toContain('*')
    }
  })
})

import { describe, expect, it } from '@jest/globals'

import { GatewayError } from '../../../lib/errors/gateway-error.ts'
import type { CredentialKind } from '../../../lib/identity/user.ts'
import { impersonationHeaders, type Impersonation } from '../../../lib/kube/impersonate.ts'
import { userNamed } from '../../fakes/user.ts'

function refusalOf(identity: Impersonation, ownAccount?: string): GatewayError | undefined {
  try {
    impersonationHeaders(identity, ownAccount)
    return undefined
  } catch (error) {
    if (GatewayError.is(error)) return error
    throw error
  }
}

describe('impersonationHeaders', () => {
  it('gives one line per group and escapes the extra key as client-go does', () => {
    expect(
      impersonationHeaders({
        username: 'ana',
        uid: 'u-1',
        groups: ['dev', 'oncall'],
        extra: { 'podgate.dev/session': ['s-1'], 'A%b': ['x'] },
      }),
    ).toEqual({
      'Impersonate-User': 'ana',
      'Impersonate-Uid': 'u-1',
      'Impersonate-Group': ['dev', 'oncall'],
      'Impersonate-Extra-podgate.dev%2Fsession': ['s-1'],
      'Impersonate-Extra-a%25b': ['x'],
    })
  })

  it.each([
    ['the masters group', { username: 'ana', groups: ['system:masters'] }],
    ['a system user', { username: 'system:admin', groups: [] }],
    ['a node', { username: 'system:node:n1', groups: [] }],
    ['an empty name', { username: '', groups: [] }],
    ['a line break in the name', { username: 'ana\r\nImpersonate-Group: x', groups: [] }],
    ['a line break in a group', { username: 'ana', groups: ['a\nb'] }],
    ['letters beyond ASCII', { username: 'änne', groups: [] }],
    ['a space at the end', { username: 'ana ', groups: [] }],
    ['an empty group', { username: 'ana', groups: [''] }],
  ])('refuses %s', (_name, identity) => {
    expect(() => impersonationHeaders(identity)).toThrow()
  })
})

const CI = 'system:serviceaccount:shop:ci'
const CI_GROUPS = ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated']

function account(username: string, groups: string[] = CI_GROUPS): Impersonation {
  const credential = { kind: 'ServiceAccount', id: 'a-1', issuedAt: 0 } as const
  return userNamed(username, { groups, credential })
}

describe('a service account that the API server has verified', () => {
  it('is acted as with its uid and what its token says; its groups follow from its name', () => {
    const extra = { 'authentication.kubernetes.io/pod-name': ['ci-0'] }
    expect(impersonationHeaders({ ...account(CI), uid: 'u-1', extra })).toEqual({
      'Impersonate-User': CI,
      'Impersonate-Uid': 'u-1',
      'Impersonate-Extra-authentication.kubernetes.io%2Fpod-name': ['ci-0'],
    })
  })

  it.each([
    ['with dots in its name', 'system:serviceaccount:shop:ci.v1.example', CI_GROUPS],
    ['with a name as long as names may be', `system:serviceaccount:shop:${'a'.repeat(253)}`, []],
    ['without groups, which the API server then adds', CI, []],
    ['of another name in the namespace of the gateway', accountIn('podgate-system', 'ci'), []],
  ])('passes %s', (_name, username, groups) => {
    const headers = impersonationHeaders(account(username, groups))
    expect(headers['Impersonate-User']).toBe(username)
  })

  it.each<[string, string, string[]]>([
    ['with the groups of another namespace', CI, ['system:serviceaccounts:kube-system']],
    ['with the masters group', CI, [...CI_GROUPS, 'system:masters']],
    ['with the group of nodes', CI, ['system:nodes']],
    ['with a group of people', CI, [...CI_GROUPS, 'oncall']],
    ['with an empty group', CI, ['']],
    ['with a group in capitals', CI, ['System:ServiceAccounts']],
    ['that is a person', 'ana', []],
    ['that is a node', 'system:node:n1', []],
    ['that is the masters user', 'system:admin', []],
    ['without a name', 'system:serviceaccount:shop:', []],
    ['without a namespace', 'system:serviceaccount::ci', []],
    ['with a colon too many', `${CI}:x`, []],
    ['with capitals', 'system:serviceaccount:shop:CI', []],
    ['with a dot in its namespace', 'system:serviceaccount:sh.op:ci', []],
    ['with a namespace that begins with a dash', 'system:serviceaccount:-shop:ci', []],
    ['with a namespace too long', accountIn('a'.repeat(64), 'ci'), []],
    ['with a name too long', accountIn('shop', 'a'.repeat(254)), []],
    ['with two dots in a row', 'system:serviceaccount:shop:c..i', []],
    ['with a line break behind it', `${CI}\n`, []],
    ['with another word before it', `x${CI}`, []],
    ['with its prefix in capitals', 'System:ServiceAccount:shop:ci', []],
    ['that is the gateway itself', accountIn('podgate-system', 'podgate'), []],
  ])('is refused %s', (_name, username, groups) => {
    expect(refusalOf(account(username, groups))).toMatchObject({ reason: 'Forbidden' })
  })

  it('is refused where it is whom the gateway is said to be, and the usual one still', () => {
    const own = accountIn('gate', 'keeper')
    expect(refusalOf(account(own, []), own)).toMatchObject({ id: 1410 })
    expect(refusalOf(account(accountIn('podgate-system', 'podgate'), []), own)).toBeDefined()
    expect(refusalOf(account(own, []))).toBeUndefined()
  })
})

function accountIn(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

describe('somebody who is no verified service account', () => {
  const bearers: [string, Impersonation['credential']][] = [
    ...(['IdToken', 'GatewayToken', 'Certificate'] satisfies CredentialKind[]).map(
      (kind): [string, Impersonation['credential']] => [`came with: ${kind}`, { kind }],
    ),
    ['is acted as (--as)', undefined],
    ['came with: serviceaccount', { kind: 'serviceaccount' }],
  ]

  it.each(bearers)('is refused the name of one, who %s', (_name, credential) => {
    const kubeSystem = 'system:serviceaccount:kube-system:x'
    for (const identity of [
      { username: kubeSystem, groups: [] },
      { username: 'ana', groups: ['system:serviceaccounts'] },
      { username: 'ana', groups: ['system:serviceaccounts:kube-system'] },
    ]) {
      const whole = credential === undefined ? identity : { ...identity, credential }
      expect(refusalOf(whole)).toMatchObject({ reason: 'Forbidden', id: 1410 })
    }
  })

  it.each(['authentication.kubernetes.io/node-name', 'Authentication.Kubernetes.io/pod-name'])(
    'is refused the extra %s, which would make them a pod of that node',
    (key) => {
      const identity = userNamed('ana', { extra: { [key]: ['n1'] } })
      expect(refusalOf(identity)).toMatchObject({ id: 1410 })
    },
  )
})

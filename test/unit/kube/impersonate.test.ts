import { describe, expect, it } from '@jest/globals'

import { impersonationHeaders } from '../../../lib/kube/impersonate.ts'

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

import { describe, expect, it } from '@jest/globals'

import {
  matchesLabels,
  selectorError,
  type LabelSelector,
} from '../../../lib/policy/label-selector.ts'

const one = (
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist',
  values?: string[],
): LabelSelector => ({
  matchExpressions: [{ key: 'tier', operator, ...(values === undefined ? {} : { values }) }],
})

describe('matchesLabels', () => {
  const web = { app: 'web', tier: 'front' }
  it.each<{ name: string; selector: LabelSelector | undefined; labels: object; want: boolean }>([
    { name: 'selects everything when absent', selector: undefined, labels: web, want: true },
    { name: 'selects everything when empty', selector: {}, labels: {}, want: true },
    { name: 'compares values', selector: { matchLabels: { app: 'web' } }, labels: web, want: true },
    { name: 'exactly', selector: { matchLabels: { app: 'we' } }, labels: web, want: false },
    { name: 'needs the key', selector: { matchLabels: { x: '' } }, labels: web, want: false },
    {
      name: 'needs all labels',
      selector: { matchLabels: { app: 'web', tier: 'back' } },
      labels: web,
      want: false,
    },
    {
      name: 'holds In for a listed value',
      selector: one('In', ['front']),
      labels: web,
      want: true,
    },
    { name: 'not for another', selector: one('In', ['back']), labels: web, want: false },
    { name: 'not for a missing label', selector: one('In', ['front']), labels: {}, want: false },
    { name: 'holds NotIn for others', selector: one('NotIn', ['back']), labels: web, want: true },
    { name: 'not for a listed value', selector: one('NotIn', ['front']), labels: web, want: false },
    { name: 'holds NotIn for none', selector: one('NotIn', ['front']), labels: {}, want: true },
    { name: 'holds Exists', selector: one('Exists'), labels: web, want: true },
    { name: 'not without the label', selector: one('Exists'), labels: {}, want: false },
    { name: 'holds DoesNotExist', selector: one('DoesNotExist'), labels: {}, want: true },
    { name: 'not with the label', selector: one('DoesNotExist'), labels: web, want: false },
    {
      name: 'needs labels and expressions alike',
      selector: { matchLabels: { app: 'web' }, ...one('In', ['back']) },
      labels: web,
      want: false,
    },
    {
      name: 'does not take what every object inherits for a label',
      selector: { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
      labels: {},
      want: false,
    },
  ])('$name', ({ selector, labels, want }) => {
    expect(matchesLabels(selector, { ...labels })).toBe(want)
  })
})

describe('selectorError', () => {
  it.each([
    { name: 'In without values', selector: one('In'), field: 'matchExpressions[0].values' },
    { name: 'NotIn with none', selector: one('NotIn', []), field: 'matchExpressions[0].values' },
    {
      name: 'Exists with one',
      selector: one('Exists', ['a']),
      field: 'matchExpressions[0].values',
    },
    {
      name: 'an operator of its own',
      selector: { matchExpressions: [{ key: 'a', operator: 'Gt' as 'In', values: ['1'] }] },
      field: 'matchExpressions[0].operator',
    },
  ])('names $name', ({ selector, field }) => {
    expect(selectorError(selector)?.field).toBe(field)
  })

  it('finds nothing wrong with a sound selector', () => {
    expect(selectorError({ matchLabels: { a: 'b' }, ...one('In', ['x']) })).toBeUndefined()
  })
})

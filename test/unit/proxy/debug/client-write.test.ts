/** The query of a client's write. */
import { describe, expect, it } from '@jest/globals'

import { parseWriteQuery } from '../../../../lib/proxy/debug/client-write.ts'

describe('the query of a write', () => {
  it.each([
    ['', { isDryRun: false, query: '' }],
    ['dryRun=All', { isDryRun: true, query: '' }],
    [
      'pretty=true&fieldManager=a%20b&fieldValidation=Strict&timeout=3s&x=1',
      { isDryRun: false, query: 'fieldManager=a+b&fieldValidation=Strict&pretty=true' },
    ],
  ])('%s', (raw, want) => {
    const { isDryRun, query } = parseWriteQuery(raw)
    expect({ isDryRun, query: query.toString() }).toEqual(want)
  })

  it.each(['dryRun=', 'dryRun=all', 'dryRun=All&dryRun=All', 'fieldManager=a&fieldManager=b'])(
    'refuses %s',
    (raw) => {
      expect(() => parseWriteQuery(raw)).toThrow(expect.objectContaining({ id: 1036 }))
    },
  )
})

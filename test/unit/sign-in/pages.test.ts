import { describe, expect, it } from '@jest/globals'

import { escapeHtml } from '../../../lib/sign-in/pages.ts'

describe('text in a page', () => {
  it('cannot become markup', () => {
    expect(escapeHtml(`<img src=x onerror="alert('1')">&`)).not.toMatch(/[<>"']/)
  })
})

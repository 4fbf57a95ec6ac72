import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { compilePathGlob, matchesPath, mayMatchBelow } from '../../../lib/copy/path-glob.ts'

/** The definition, as a regular expression: fine for short texts only. */
function reference(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replace(/(?<=[^/])\/\*\*$/, '(?:/<deep>)?')
    .replaceAll(/(?<=^|\/)\*{2,}\//g, '(?:<deep>/)?')
    .replaceAll(/\*{2,}/g, '<deep>')
    .replaceAll('*', '[^/]*')
    .replaceAll('<deep>', '.*')
  return new RegExp(`^${source}$`, 's')
}

describe('matchesPath', () => {
  it.each([
    ['/data/a', '/data/a', true],
    ['/data/a', '/data/ab', false],
    ['/data/a', '/data', false],
    ['/data/*', '/data/a.txt', true],
    ['/data/*', '/data/a/b', false],
    ['/data/*', '/data', false],
    ['/data/*.log', '/data/a.log', true],
    ['/data/*.log', '/data/.log', true],
    ['/data/*.log', '/data/a.log.gz', false],
    ['/data/?.log', '/data/a.log', true],
    ['/data/?.log', '/data/東.log', true],
    ['/data/?.log', '/data/😀.log', true],
    ['/data?a', '/data/a', false],
    ['/data/**', '/data', true],
    ['/data/**', '/data/a/b/c', true],
    ['/data/**', '/database', false],
    ['/data/**', '/', false],
    ['/**', '/', true],
    ['/**', '/a/b', true],
    ['**', '/a/b', true],
    ['/**/a', '/a', true],
    ['/**/a', '/b/c/a', true],
    ['/**/a', '/ba', false],
    ['/x/**/a', '/x/a', true],
    ['/x/**/a', '/x/1/2/a', true],
    ['/x/**/a', '/x/1a', false],
    ['/x/**/y/*.log', '/x/y/y/a.log', true],
    ['/x/a**b', '/x/a/1/b', true],
    ['/x/a***b', '/x/a/1/b', true],
    ['/x/a.c', '/x/abc', false],
    ['/a\n*', '/a\nb', true],
    ['', '/a', false],
  ])('%s on %s: %s', (pattern, path, want) => {
    expect(matchesPath(compilePathGlob(pattern), path)).toBe(want)
  })

  const segment = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 })
  const path = fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '*', 'a*', '*b', '**', 'a*b*'), { minLength: 1, maxLength: 5 })
    .map((parts) => `/${parts.join('/')}`)
    .filter((text) => !text.includes('**/**'))

  it('agrees with the definition', () => {
    fc.assert(
      fc.property(pattern, path, (glob, text) => {
        expect(matchesPath(compilePathGlob(glob), text)).toBe(reference(glob).test(text))
      }),
      { numRuns: 3_000 },
    )
  })

  it('a path that matches is one that the folders above may lead to', () => {
    fc.assert(
      fc.property(pattern, path, (glob, text) => {
        const compiled = compilePathGlob(glob)
        fc.pre(matchesPath(compiled, text) && text !== '/')
        for (let at = text.lastIndexOf('/'); at > 0; at = text.lastIndexOf('/', at - 1)) {
          expect(mayMatchBelow(compiled, text.slice(0, at))).toBe(true)
        }
        expect(mayMatchBelow(compiled, '/')).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })

  it('takes no more than pattern times path on a pattern made for it', () => {
    const started = process.hrtime.bigint()
    const glob = compilePathGlob(`/${'**/a*'.repeat(50)}b`)
    expect(matchesPath(glob, `/${'a/'.repeat(2_000)}`)).toBe(false)
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(2_000)
  })
})

describe('mayMatchBelow', () => {
  it.each([
    ['/data/*.log', '/data', true],
    ['/data/*.log', '/', true],
    ['/data/*.log', '/dat', false],
    ['/data/*.log', '/data/a.log', false],
    ['/data/**', '/data', true],
    ['/data/**', '/data/a/b', true],
    ['/data/**', '/etc', false],
    ['/**/a', '/etc', true],
    ['/data', '/data', false],
  ])('%s below %s: %s', (pattern, folder, want) => {
    expect(mayMatchBelow(compilePathGlob(pattern), folder)).toBe(want)
  })
})

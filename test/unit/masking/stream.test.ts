import { describe, expect, it } from '@jest/globals'

import { createMasker } from '../../../lib/masking/masker.ts'
import { logText, seeded } from '../../fixtures/log-text.ts'
import { LOG_LINES } from './vectors.ts'
import { ALL_DETECTORS, bytesOf, concat, rulesFor, textOf, wholeMask } from './whole.ts'

const RULES = rulesFor(ALL_DETECTORS)
const PATTERNS = [{ name: 'customer', pattern: 'CUST-[0-9]{6}' }]
const ALL_RULES = rulesFor(ALL_DETECTORS, PATTERNS)

function randomBytes(size: number): Uint8Array {
  const random = seeded(size)
  return Uint8Array.from({ length: size }, () => Math.floor(random() * 256))
}

describe('what passes untouched', () => {
  it('is the very chunk that came in', () => {
    const chunk = bytesOf(`${LOG_LINES.join('\n')}\n`)
    const out = createMasker(RULES).push(chunk)
    expect(out).toHaveLength(1)
    expect(out[0]).toBe(chunk)
  })

  it('is a view of it where the end is held back', () => {
    const chunk = bytesOf('hello, this is ana')
    const masker = createMasker(RULES)
    const [view] = masker.push(chunk)
    expect(view?.buffer).toBe(chunk.buffer)
    expect(textOf(view ?? chunk)).toBe('hello, this is ')
    expect(masker.heldBytes).toBe(3)
  })

  it('stays byte-exact in binary data', () => {
    const input = randomBytes(300_000)
    expect(Buffer.compare(wholeMask(RULES, input).output, input)).toBe(0)
    expect(Buffer.compare(wholeMask(ALL_RULES, input).output, input)).toBe(0)
  })

  it('is masked without touching the bytes of the caller', () => {
    const text = 'ana@example.com\n'
    const chunk = Buffer.from(text)
    const out = concat(createMasker(RULES).push(chunk))
    expect(textOf(out)).toBe('***************\n')
    expect(textOf(chunk)).toBe(text)
  })
})

describe('with leave to write over the input', () => {
  const line = `${'x'.repeat(2000)} ana@example.com\n`

  it('gives the chunk itself, with the stars in it', () => {
    const chunk = bytesOf(line)
    const [out, ...more] = createMasker(RULES, { inPlace: true }).push(chunk)
    expect(out?.buffer).toBe(chunk.buffer)
    expect(more).toEqual([])
    expect(textOf(chunk)).toBe(`${'x'.repeat(2000)} ***************\n`)
  })

  it('leaves a small one alone, which may be an echo', () => {
    const chunk = bytesOf('ana@example.com\n')
    expect(textOf(concat(createMasker(RULES, { inPlace: true }).push(chunk)))).toBe(
      '***************\n',
    )
    expect(textOf(chunk)).toBe('ana@example.com\n')
  })

  it('gives one star to a character that two chunks share', () => {
    const rules = rulesFor([], [{ name: 'umlauts', pattern: 'ä+' }])
    const bytes = bytesOf(`${'x'.repeat(3000)}ää ${'x'.repeat(3000)}\n`)
    const masker = createMasker(rules, { inPlace: true })
    const out = [...masker.push(bytes.slice(0, 3001)), ...masker.push(bytes.slice(3001))]
    expect(textOf(concat(out))).toBe(`${'x'.repeat(3000)}** ${'x'.repeat(3000)}\n`)
  })
})

describe('what is held back', () => {
  const endless = {
    digits: '1'.repeat(9000),
    letters: 'a'.repeat(9000),
    'an address without an end': `a@${'b.c'.repeat(3000)}`,
    'at signs': '@'.repeat(9000),
    colons: 'a:'.repeat(4500),
    'double colons': '1::'.repeat(3000),
    'grouped digits': '4111 '.repeat(1800),
    'plus and digits': '+1 '.repeat(3000),
    'phone-like': '030 12 34 56 78 '.repeat(600),
    'iban-like': 'DE89 3704 '.repeat(900),
    'wide text': '\u6f22'.repeat(3000),
  }
  it.each(Object.entries(endless))('is bounded in %s', (_, text) => {
    const input = bytesOf(text)
    for (const { rules, bound } of [
      { rules: RULES, bound: 400 },
      { rules: ALL_RULES, bound: 2400 },
    ]) {
      const masker = createMasker(rules)
      let most = 0
      for (let at = 0; at < input.length; at += 1) {
        masker.push(input.subarray(at, at + 1))
        most = Math.max(most, masker.heldBytes)
      }
      expect(most).toBeLessThanOrEqual(bound)
    }
  })

  it('is nothing after a line break', () => {
    for (const rules of [RULES, ALL_RULES]) {
      const masker = createMasker(rules)
      for (const line of LOG_LINES) {
        masker.push(bytesOf(`${line}\n`))
        expect([line, masker.heldBytes]).toEqual([line, 0])
      }
    }
  })

  it('is nothing after a shell prompt', () => {
    const masker = createMasker(RULES)
    masker.push(bytesOf('\r\nroot@web-0:/app# '))
    expect(masker.heldBytes).toBe(0)
  })

  it('is an error to add to after the end', () => {
    const masker = createMasker(RULES)
    masker.end()
    expect(() => masker.push(bytesOf('a'))).toThrow('already ended')
  })
})

/**
 * CPU time of this thread at best: the clock on the wall also counts what other processes do, the
 * time of this process what V8 compiles and collects beside it, and a first run is compiled.
 */
function cpuMs(run: () => void): number {
  const runs = [1, 2, 3].map(() => {
    const before = process.threadCpuUsage()
    run()
    const { user, system } = process.threadCpuUsage(before)
    return (user + system) / 1000
  })
  return Math.min(...runs)
}

function push(rules: typeof RULES, input: Uint8Array, size: number): void {
  const masker = createMasker(rules)
  for (let at = 0; at < input.length; at += size) masker.push(input.subarray(at, at + size))
  masker.end()
}

describe('the time it takes', () => {
  const hostile = [
    'a@',
    'a.',
    '1',
    '1.',
    '::',
    'a:',
    '4111 ',
    '+1',
    '(030) ',
    'DE89 ',
    '\\u',
    '@a.b',
  ]
  it.each(hostile.map((unit) => [unit]))('grows linearly on %s', (unit) => {
    const small = bytesOf(unit.repeat(Math.ceil(2 ** 18 / unit.length)))
    const once = cpuMs(() => push(RULES, small, 4096))
    const fourfold = cpuMs(() => push(RULES, concat([small, small, small, small]), 4096))
    // Linear is 4 and quadratic 16; a machine that is busy with other things doubles what it likes.
    expect(fourfold).toBeLessThan(8 * once + 50)
  })

  it('grows linearly with a pattern that backtracking engines die of', () => {
    const rules = rulesFor([], [{ name: 'evil', pattern: '(a+)+b|(a|a)*c' }])
    const small = bytesOf('a'.repeat(2 ** 15))
    const once = cpuMs(() => push(rules, small, 4096))
    const fourfold = cpuMs(() => push(rules, concat([small, small, small, small]), 4096))
    expect(fourfold).toBeLessThan(8 * once + 50)
  })

  it('grows linearly byte by byte', () => {
    const input = logText(2 ** 20, 5)
    const once = cpuMs(() => push(RULES, input.subarray(0, 2 ** 18), 1))
    expect(cpuMs(() => push(RULES, input, 1))).toBeLessThan(8 * once + 50)
  })
})

describe('the log text of the benches', () => {
  it('is the same for the same seed', () => {
    expect(Buffer.compare(logText(50_000, 3), logText(50_000, 3))).toBe(0)
    expect(Buffer.compare(logText(50_000, 3), logText(50_000, 4))).not.toBe(0)
  })

  it('has personal data in one line of a hundred, and all of it is found', () => {
    const text = textOf(logText(2_000_000, 9))
    const masked = textOf(wholeMask(RULES, bytesOf(text)).output).split('\n')
    const lines = text.split('\n')
    const touched = lines.flatMap((line, k) => (line === masked[k] ? [] : [k % 100]))
    expect(new Set(touched)).toEqual(new Set([99]))
    expect(touched.length).toBe(Math.floor(lines.length / 100))
    expect(
      masked.filter((line) => /user \*+ from \*+ (?:phone|card|iban) \*+ changed$/.test(line)),
    ).toHaveLength(touched.length)
  })
})

import { createHash } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { TarMask, type ContentMasker, type MaskedFileRecord } from '../../../lib/copy/mask-tar.ts'
import { compileMaskRules, createMasker } from '../../../lib/masking/masker.ts'
import {
  archive,
  bytesOf,
  entriesOf,
  file,
  header,
  pax,
  readAll,
  readCut,
  realTar,
  violationOf,
} from './archives.ts'

const RULES = compileMaskRules({
  detectors: ['Email', 'CreditCard'],
  patterns: [{ name: 'secret', pattern: 'geheim\\p{L}*' }],
})

interface Masked {
  output: Buffer
  files: MaskedFileRecord[]
  mask: TarMask
}

function maskCut(
  input: Uint8Array,
  cuts: readonly number[],
  create: () => ContentMasker = () => createMasker(RULES),
): Masked {
  const mask = new TarMask(create)
  const parts = readCut(input, cuts).map((event) => mask.take(event))
  return {
    output: Buffer.concat(parts.flatMap(({ bytes }) => bytes)),
    files: parts.flatMap((part) => (part.file === undefined ? [] : [part.file])),
    mask,
  }
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Contents by path. */
function contentsOf(input: Uint8Array): Map<string, string> {
  const events = readAll(input)
  expect(violationOf(events)).toBeUndefined()
  const contents = new Map<string, string>()
  let path = ''
  for (const event of events) {
    if (event.kind === 'header') contents.set((path = event.entry.path), '')
    else if (event.kind === 'data') {
      contents.set(path, contents.get(path) + Buffer.concat(bytesOf(event)).toString('utf8'))
    }
  }
  return contents
}

describe('TarMask', () => {
  it('masks text files, and leaves headers, lengths and other files as they are', () => {
    const text = 'to ann@example.com, card 4111 1111 1111 1111\n'
    const binary = Buffer.concat([Buffer.from(text), Buffer.from([0])])
    const input = archive(file('a.txt', text), file('b.bin', binary), file('c.txt', 'nothing\n'))
    const { output, files, mask } = maskCut(input, [])
    expect(output).toHaveLength(input.length)
    expect(entriesOf(readAll(output))).toEqual(entriesOf(readAll(input)))
    const masked = `to ${'*'.repeat(15)}, card ${'*'.repeat(19)}\n`
    expect(contentsOf(output)).toEqual(
      new Map([
        ['a.txt', masked],
        ['b.bin', binary.toString('utf8')],
        ['c.txt', 'nothing\n'],
      ]),
    )
    expect(files).toMatchObject([
      { path: 'a.txt', sha256: sha256(text), maskedSha256: sha256(masked), masked: 2 },
      { path: 'b.bin', sha256: sha256(binary), maskedSha256: sha256(binary), masked: 0 },
      { path: 'c.txt', sha256: sha256('nothing\n'), maskedSha256: sha256('nothing\n'), masked: 0 },
    ])
    expect(mask.counts.get('Email')).toBe(1)
    expect(mask.counts.get('CreditCard')).toBe(1)
  })

  it('fills the end of a file with spaces where characters of several bytes became stars', () => {
    const text = 'das ist geheimnisvöllé!\n'
    const { output, files } = maskCut(archive(file('a', text)), [])
    expect(contentsOf(output).get('a')).toBe(`das ist ${'*'.repeat(14)}!\n  `)
    expect(files).toMatchObject([{ masked: 1, size: Buffer.byteLength(text) }])
  })

  it('fills a file that became much shorter', () => {
    const text = `geheim${'é'.repeat(1_000)}\n`.repeat(200)
    const { output } = maskCut(archive(file('a', text)), [])
    const content = contentsOf(output).get('a')
    expect(content).toHaveLength(Buffer.byteLength(text))
    expect(content?.trimEnd()).toBe(`${'*'.repeat(1_006)}\n`.repeat(200).trimEnd())
  })

  it('looks for NUL bytes in the first 8 KiB only', () => {
    const mail = 'ann@example.com\n'
    const within = Buffer.concat([Buffer.from(mail), Buffer.alloc(8_175, 'x'), Buffer.from([0])])
    const after = Buffer.concat([Buffer.from(mail), Buffer.alloc(8_176, 'x'), Buffer.from([0])])
    const { files } = maskCut(archive(file('within', within), file('after', after)), [])
    expect(files.map(({ masked }) => masked)).toEqual([0, 1])
  })

  it('never joins the end of a file with the start of the next', () => {
    const { files } = maskCut(archive(file('a', 'ann@exam'), file('b', 'ple.com')), [])
    expect(files.map(({ masked }) => masked)).toEqual([0, 0])
  })

  it('has no digests for what has no content', () => {
    const { files } = maskCut(archive(header({ name: 'd/', type: '5' }), file('empty', '')), [])
    expect(files).toMatchObject([
      { sha256: undefined, maskedSha256: undefined, masked: 0 },
      { sha256: sha256(''), maskedSha256: sha256(''), masked: 0 },
    ])
  })

  it('passes on content that nothing matches without a copy', () => {
    const input = archive(file('a', 'x'.repeat(20_000)))
    const mask = new TarMask(() => createMasker(RULES))
    const pieces = readAll(input).flatMap((event) => {
      const { bytes } = mask.take(event)
      return event.kind === 'data' ? bytes : []
    })
    expect(pieces.length).toBeGreaterThan(0)
    expect(pieces.every(({ buffer }) => buffer === input.buffer)).toBe(true)
  })

  it('refuses a file with holes before its headers leave', () => {
    const input = realTar(
      { withHoles: { holes: 2 ** 21 } },
      ['--format=pax', '--sparse'],
      ['holes'],
    )
    expect(() => maskCut(input, [])).toThrow(
      expect.objectContaining({
        id: 1042,
        message:
          '"holes" cannot be masked: it is stored with holes. The copy was stopped before it. ' +
          'Leave this file out, or have the policy allow copies without maskText',
      }),
    )
  })

  it('stops before a file becomes longer than its header says', () => {
    const longer = (): ContentMasker => ({
      push: (bytes) => [bytes],
      end: () => [Buffer.from('!')],
      counts: new Map(),
    })
    expect(() => maskCut(archive(file('a', 'x')), [], longer)).toThrow(/"a" cannot be masked/)
  })
})

describe('however the archive is cut, the masked one is the same', () => {
  const piece = fc.constantFrom(
    'ann@example.com',
    '4111 1111 1111 1111',
    'geheimnisvöll',
    'text ',
    '\n',
    '東京',
    '\0',
    'x'.repeat(4_000),
  )
  const content = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
  const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })

  it('at every place of a small archive', () => {
    const text = 'to ann@example.com: geheimnisvöll\n'
    const input = archive(pax({ path: 'é' }), file('a', text), file('b', `${text}\0`))
    const whole = maskCut(input, [])
    for (let cut = 0; cut <= input.length; cut += 1) {
      const { output, files } = maskCut(input, [cut])
      expect(output.equals(whole.output)).toBe(true)
      expect(files).toEqual(whole.files)
    }
  })

  it('at random places of random archives', () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 4 }), fractions, (contents, places) => {
        const input = archive(...contents.map((text, k) => file(`f${k}`, text)))
        const cuts = places.map((place) => Math.floor(place * input.length))
        const whole = maskCut(input, [])
        const { output, files } = maskCut(input, cuts)
        expect(output.equals(whole.output)).toBe(true)
        expect(files).toEqual(whole.files)
        expect(output).toHaveLength(input.length)
        for (const [path, text] of contentsOf(output)) {
          const record = files.find((candidate) => candidate.path === path)
          expect(record?.maskedSha256).toBe(sha256(text))
        }
      }),
      { numRuns: 200 },
    )
  })
})

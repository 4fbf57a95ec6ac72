/** However an archive is cut, the events are the same, and their bytes are the archive. */
import { createHash } from 'node:crypto'

import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { CopyLedger } from '../../../lib/copy/copy-ledger.ts'
import {
  archive,
  bytesOfAll,
  file,
  gnuLong,
  header,
  joinedEvents,
  pax,
  readAll,
  readCut,
  violationOf,
} from './archives.ts'

const SAMPLES: [string, Buffer][] = [
  ['files', archive(file('a', 'hello'), file('b', ''), file('c', 'x'.repeat(513)))],
  ['GNU names', archive(gnuLong('L', 'n'.repeat(120)), gnuLong('K', 't'), file('a', 'hello'))],
  ['PAX records', archive(pax({ path: 'é'.repeat(300), mtime: '1.5' }), file('a', 'hello'))],
  ['a damaged header', Buffer.concat([file('a', 'hello'), Buffer.alloc(512, 1)])],
  ['bytes after the end', Buffer.concat([archive(file('a', 'hello')), Buffer.alloc(100, 1)])],
]

const name = fc.string({
  unit: fc.constantFrom('a', 'b', '/', 'é', '.'),
  minLength: 1,
  maxLength: 40,
})
const content = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 500, max: 1_600 }).map((size) => new Uint8Array(size).fill(size % 256)),
)
const entry = fc.oneof(
  fc.tuple(name, content).map(([path, bytes]) => file(path.replace(/\/$/, '-'), bytes)),
  fc
    .tuple(name, content)
    .map(([path, bytes]) =>
      Buffer.concat([gnuLong('L', `l${path.repeat(9)}-`), file('short', bytes)]),
    ),
  fc
    .tuple(name, content)
    .map(([path, bytes]) =>
      Buffer.concat([
        pax({ path: `p${path.repeat(9)}-`, size: String(bytes.length) }),
        file('s', bytes),
      ]),
    ),
  name.map((path) => header({ name: path, type: '5' })),
  fc.tuple(name, name).map(([path, linkName]) => header({ name: path, type: '2', linkName })),
)
const archives = fc.array(entry, { maxLength: 8 }).map((entries) => archive(...entries))
const fractions = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 })

describe('however an archive is cut, the events are the same', () => {
  it.each(SAMPLES)('at every place of %s', (_, input) => {
    const whole = joinedEvents(readAll(input))
    for (let cut = 0; cut <= input.length; cut += 1) {
      expect(joinedEvents(readCut(input, [cut]))).toEqual(whole)
    }
    const everywhere = Array.from({ length: input.length }, (__, cut) => cut)
    expect(joinedEvents(readCut(input, everywhere))).toEqual(whole)
  })

  it('at random places of random archives, and their bytes are the archive', () => {
    fc.assert(
      fc.property(archives, fractions, (input, places) => {
        const cuts = places.map((place) => Math.floor(place * input.length))
        const events = readCut(input, cuts)
        expect(violationOf(events)).toBeUndefined()
        expect(bytesOfAll(events).equals(input)).toBe(true)
        expect(joinedEvents(events)).toEqual(joinedEvents(readAll(input)))
      }),
      { numRuns: 400 },
    )
  })

  it('of damaged archives too, and never throw', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(archives, damage, fractions, (good, bytes, places) => {
        const input = Buffer.from(good)
        for (const [at, value] of bytes) input[at % input.length] = value
        const cuts = places.map((place) => Math.floor(place * input.length))
        const events = readCut(input, cuts)
        expect(joinedEvents(events)).toEqual(joinedEvents(readAll(input)))
        const read = bytesOfAll(events)
        expect(read.equals(input.subarray(0, read.length))).toBe(true)
        expect(read.length === input.length || violationOf(events) !== undefined).toBe(true)
      }),
      { numRuns: 400 },
    )
  })
})

describe('CopyLedger', () => {
  it('has the digest of each content, whatever the cuts', () => {
    fc.assert(
      fc.property(fc.array(content, { maxLength: 6 }), fractions, (contents, places) => {
        const input = archive(...contents.map((bytes, k) => file(`f${k}`, bytes)))
        const cuts = places.map((place) => Math.floor(place * input.length))
        const ledger = new CopyLedger()
        const records = readCut(input, cuts)
          .map((event) => ledger.take(event))
          .filter((record) => record !== undefined)
        expect(records).toEqual(
          contents.map((bytes, k) => ({
            path: `f${k}`,
            kind: 'File',
            size: bytes.length,
            mode: 0o644,
            sha256: createHash('sha256').update(bytes).digest('hex'),
          })),
        )
        expect(ledger.count).toBe(contents.length)
        expect(ledger.totalBytes).toBe(contents.reduce((sum, { length }) => sum + length, 0))
      }),
      { numRuns: 200 },
    )
  })

  it('has no digest for what has no content, and the target of a link', () => {
    const ledger = new CopyLedger()
    const input = archive(
      header({ name: 'd/', type: '5', mode: 0o1777 }),
      header({ name: 'l', type: '2', linkName: '/etc', mode: 0o777 }),
    )
    const records = readAll(input).map((event) => ledger.take(event))
    expect(records.filter((record) => record !== undefined)).toEqual([
      { path: 'd/', kind: 'Directory', size: 0, mode: 0o1777, sha256: undefined },
      {
        path: 'l',
        kind: 'SymbolicLink',
        size: 0,
        mode: 0o777,
        sha256: undefined,
        linkTarget: '/etc',
      },
    ])
  })

  it('gives what has come of a file that was cut off', () => {
    const ledger = new CopyLedger()
    for (const event of readAll(file('a', 'hello').subarray(0, 514))) ledger.take(event)
    const sha256 = createHash('sha256').update('he').digest('hex')
    expect(ledger.abandon()).toMatchObject({ path: 'a', size: 2, sha256 })
    expect(ledger.abandon()).toBeUndefined()
  })
})

import { describe, expect, it } from '@jest/globals'

import { CopyLedger } from '../../../lib/copy/copy-ledger.ts'
import type { TarEntry } from '../../../lib/copy/tar-entry.ts'
import { TarReader } from '../../../lib/copy/tar-reader.ts'
import {
  END,
  archive,
  bytesOfAll,
  entriesOf,
  file,
  gnuLong,
  header,
  padded,
  pax,
  readAll,
  readCut,
  realTar,
  violationOf,
  type Tree,
} from './archives.ts'

const LONG = `${'folder-of-some-length/'.repeat(6)}${'n'.repeat(80)}.txt`
const LONGER = `${'another-folder-of-some-length/'.repeat(10)}${'m'.repeat(200)}.txt`
const UNICODE = 'données/東京-😀.txt'

const TREE: Tree = {
  folders: ['empty'],
  files: {
    'a.txt': 'hello\n',
    'none.txt': '',
    'block.bin': new Uint8Array(512).fill(7),
    'big.bin': new Uint8Array(70_001).fill(9),
    'line\nbreak': 'x',
    [LONG]: 'long',
    [UNICODE]: 'unicode',
  },
  symbolicLinks: { link: 'a.txt', far: `/${'t'.repeat(150)}` },
  hardLinks: { same: 'a.txt' },
}

function only(entries: TarEntry[]): TarEntry {
  expect(entries).toHaveLength(1)
  const [entry] = entries
  if (entry === undefined) throw new Error('no entry')
  return entry
}

describe('TarReader on archives of GNU tar', () => {
  it.each(['gnu', 'oldgnu', 'pax'])('%s: gives every name, size, mode and link', (format) => {
    const longer = { ...TREE, files: { ...TREE.files, [LONGER]: 'longer' } }
    const input = realTar(longer, [`--format=${format}`], ['a.txt', '.'])
    const events = readAll(input)
    expect(violationOf(events)).toBeUndefined()
    expect(bytesOfAll(events).equals(input)).toBe(true)
    const byPath = new Map(entriesOf(events).map((entry) => [entry.path, entry]))
    for (const [name, content] of Object.entries(longer.files)) {
      const entry = byPath.get(`./${name}`) ?? byPath.get(name)
      expect(entry).toMatchObject({ size: expect.any(Number), isSparse: false })
      if (entry?.kind === 'File') {
        expect(entry).toMatchObject({ size: Buffer.from(content as string).length, mode: 0o640 })
      }
    }
    expect(byPath.get('./empty/')).toMatchObject({ kind: 'Directory', size: 0 })
    expect(byPath.get('./link')).toMatchObject({ kind: 'SymbolicLink', linkTarget: 'a.txt' })
    expect(byPath.get('./far')).toMatchObject({ linkTarget: `/${'t'.repeat(150)}` })
    expect(byPath.get('./same')).toMatchObject({ kind: 'HardLink', linkTarget: 'a.txt' })
  })

  it.each(['ustar', 'v7'])('%s: knows the prefix, where there is one', (format) => {
    const { [UNICODE]: _, [LONG]: long, ...files } = TREE.files ?? {}
    const named = format === 'ustar' ? { ...files, [LONG]: long ?? '' } : files
    const input = realTar(
      { ...TREE, files: named, symbolicLinks: {} },
      [`--format=${format}`],
      ['.'],
    )
    const events = readAll(input)
    expect(violationOf(events)).toBeUndefined()
    expect(bytesOfAll(events).equals(input)).toBe(true)
    const paths = entriesOf(events).map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(Object.keys(named).map((name) => `./${name}`)))
  })

  it.each([
    ['gnu', []],
    ['pax', ['--sparse-version=0.0']],
    ['pax', ['--sparse-version=0.1']],
    ['pax', ['--sparse-version=1.0']],
  ])(
    '%s %j: a sparse file has its size in the archive and its size when unpacked',
    (format, args) => {
      // More holes than the header's own map has room for.
      const size = 30 * 1024 * 1024
      const options = [`--format=${format}`, ...args, '--sparse']
      const input = realTar({ withHoles: { holes: size } }, options, ['holes'])
      const events = readAll(input)
      expect(violationOf(events)).toBeUndefined()
      expect(bytesOfAll(events).equals(input)).toBe(true)
      const entry = only(entriesOf(events))
      expect(entry).toMatchObject({ path: 'holes', isSparse: true, unpackedSize: size })
      expect(entry.size).toBeLessThan(1024 * 1024)
    },
  )

  it('a whole tree cut at odd places gives the same files', () => {
    const input = realTar(TREE, ['--format=pax'], ['.'])
    const cuts = Array.from({ length: Math.floor(input.length / 333) }, (_, k) => k * 333)
    const ledgers = [readAll(input), readCut(input, cuts)].map((events) => {
      const ledger = new CopyLedger()
      return events.map((event) => ledger.take(event)).filter((record) => record !== undefined)
    })
    expect(ledgers[1]).toEqual(ledgers[0])
  })
})

describe('TarReader', () => {
  it('gives content as views of the input', () => {
    const input = archive(file('a', 'x'.repeat(5_000)))
    const data = readAll(input).find(({ kind }) => kind === 'data')
    if (data?.kind !== 'data') throw new Error('no data')
    expect(data.bytes.buffer).toBe(input.buffer)
    expect(data.bytes).toHaveLength(5_000)
  })

  it('takes a header only: no content is waited for to know a size of 1 TiB', () => {
    const size = 2 ** 40
    const events = new TarReader().push(header({ name: 'huge', size }))
    expect(events).toMatchObject([{ kind: 'header', entry: { size, plainSize: size } }])
  })

  it('takes a size of PAX where the header has no room', () => {
    const size = 2 ** 40
    const input = Buffer.concat([pax({ size: String(size) }), header({ name: 'huge' })])
    expect(only(entriesOf(new TarReader().push(input)))).toMatchObject({ size, plainSize: 0 })
  })

  it('holds all headers of an entry until the last of them is there', () => {
    const headers = Buffer.concat([
      gnuLong('K', 'target'.repeat(30)),
      gnuLong('L', 'name'.repeat(30)),
      header({ name: 'short', type: '2' }),
    ])
    const reader = new TarReader()
    expect(reader.push(headers.subarray(0, -1))).toEqual([])
    const events = reader.push(headers.subarray(-1))
    expect(bytesOfAll(events).equals(headers)).toBe(true)
    expect(only(entriesOf(events))).toMatchObject({
      path: 'name'.repeat(30),
      linkTarget: 'target'.repeat(30),
      otherPaths: ['short'],
    })
  })

  it.each([
    ['0', 'File'],
    ['\0', 'File'],
    ['7', 'File'],
    ['1', 'HardLink'],
    ['2', 'SymbolicLink'],
    ['3', 'CharacterDevice'],
    ['4', 'BlockDevice'],
    ['5', 'Directory'],
    ['6', 'Fifo'],
    ['V', 'Other'],
    ['X', 'Other'],
  ])('type %j is a %s', (type, kind) => {
    expect(only(entriesOf(readAll(archive(header({ name: 'a', type })))))).toMatchObject({ kind })
  })

  it('takes a file whose name ends in a slash as a folder, as before POSIX', () => {
    const entry = only(entriesOf(readAll(archive(header({ name: 'a/' })))))
    expect(entry.kind).toBe('Directory')
  })

  it('tells each name that some tar would use', () => {
    const input = archive(pax({ path: 'seen' }), file('plain', 'x', { prefix: 'folder' }))
    expect(only(entriesOf(readAll(input)))).toMatchObject({
      path: 'seen',
      otherPaths: ['folder/plain'],
    })
  })

  it('tells the name with what GNU keeps in place of the prefix', () => {
    const input = archive(file('a', 'x', { prefix: 'not-a-prefix', magic: 'ustar  \0' }))
    expect(only(entriesOf(readAll(input)))).toMatchObject({
      path: 'a',
      otherPaths: ['not-a-prefix/a'],
    })
  })

  it('tells both targets of a link', () => {
    const input = archive(
      pax({ linkpath: '/far' }),
      header({ name: 'a', type: '2', linkName: '/near' }),
    )
    expect(only(entriesOf(readAll(input)))).toMatchObject({
      linkTarget: '/far',
      otherLinkTargets: ['/near'],
    })
  })

  it('takes an empty PAX value as none', () => {
    expect(only(entriesOf(readAll(archive(pax({ path: '' }), file('a', 'x'))))).path).toBe('a')
  })

  it('of a PAX key that comes twice takes the last', () => {
    const input = archive(file('x', '9 path=b\n9 path=c\n', { type: 'x' }), file('a', 'x'))
    expect(only(entriesOf(readAll(input))).path).toBe('c')
  })

  it('keeps a byte order mark, which is a part of the name', () => {
    const name = '\u{feff}a'
    expect(only(entriesOf(readAll(archive(file(name, 'x'))))).path).toBe(name)
    expect(only(entriesOf(readAll(archive(pax({ path: name }), file('b', 'x'))))).path).toBe(name)
  })

  it('takes a global header before an entry, and at the end', () => {
    const comment = pax({ comment: 'commit' }, 'g')
    const input = archive(comment, file('a', 'x'), comment)
    const events = readAll(input)
    expect(only(entriesOf(events)).path).toBe('a')
    expect(bytesOfAll(events).equals(input)).toBe(true)
  })

  it('takes a checksum over signed bytes', () => {
    const block = header({ name: 'é' })
    const stated = Number.parseInt(block.toString('latin1', 148, 154), 8)
    block.write(`${(stated - 512).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    expect(only(entriesOf(readAll(archive(block)))).path).toBe('é')
  })

  it('counts what follows the end of the archive', () => {
    const reader = new TarReader()
    readCut(Buffer.concat([archive(file('a', 'x')), Buffer.from('more')]), [1_000, 1_540], reader)
    expect(reader.trailingBytes).toBe(4)
  })

  it.each([
    ['an empty stream', Buffer.alloc(0)],
    ['no zero blocks', file('a', 'x')],
    ['one zero block', Buffer.concat([file('a', 'x'), END.subarray(512)])],
    ['a zero block and a part of another', Buffer.concat([file('a', 'x'), END.subarray(100)])],
    ['zero blocks up to a record of 10 KiB', Buffer.concat([file('a', 'x'), Buffer.alloc(9_216)])],
  ])('%s at the end is an end', (_, input) => {
    const events = readAll(input)
    expect(violationOf(events)).toBeUndefined()
    expect(bytesOfAll(events).equals(input)).toBe(true)
  })
})

describe('TarReader refuses', () => {
  const good = header({ name: 'a', size: 5 })
  const patched = (at: number, text: string): Buffer =>
    Buffer.concat([header({ name: 'a', size: 5, patch: { [at]: text } }), padded('hello'), END])
  const damaged = Buffer.from(good)
  damaged.write('b', 0)

  it.each<[string, Uint8Array, RegExp]>([
    ['a wrong checksum', damaged, /checksum \d+, and its bytes sum up to \d+/],
    ['text that is no archive', Buffer.from('tar: /data: No such file\n'.repeat(30)), /checksum/],
    ['a size with a letter', patched(124, '0000000000x\0'), /size is no octal number/],
    ['a size with a sign', patched(124, '-0000000005\0'), /size is no octal number/],
    ['a size with digits after its end', patched(124, '0000005\u000001\0 '), /no octal number/],
    ['a negative size', patched(124, '\u00ff'.repeat(12)), /negative/],
    ['a size beyond any file', patched(124, `\u0080${'\u00ff'.repeat(11)}`), /beyond any file/],
    ['a mode with an 8', patched(100, '0000648\0'), /mode is no octal number/],
    ['an entry without a name', archive(header({ name: '' })), /no name/],
    ['a folder with content', archive(file('a', 'x', { type: '5' })), /no file and yet/],
    ['a file with content that is a folder', archive(file('a/', 'x')), /no file and yet/],
    ['a hard link with content', archive(file('a', 'x', { type: '1' })), /no file and yet/],
    [
      'a link with a PAX size',
      archive(pax({ size: '9' }), header({ name: 'a', type: '2' })),
      /yet/,
    ],
    ['a long name over the limit', gnuLong('L', 'n'.repeat(70_000)), /long name has 70001 bytes/],
    ['PAX records over the limit', pax({ comment: 'c'.repeat(70_000) }), /at most 65536/],
    [
      'a path over 4096',
      archive(gnuLong('L', 'n'.repeat(4_097)), file('a', '')),
      /4097 characters/,
    ],
    ['two long names', archive(gnuLong('L', 'b'), gnuLong('L', 'c'), file('a', '')), /second long/],
    [
      'two PAX headers',
      archive(pax({ a: 'b' }), pax({ a: 'b' }), file('a', '')),
      /second extended/,
    ],
    [
      'names that contradict',
      archive(pax({ path: 'b' }), gnuLong('L', 'c'), file('a', '')),
      /two n/,
    ],
    ['a global name', archive(pax({ path: 'b' }, 'g'), file('a', '')), /sets "path" of all/],
    ['a global size', archive(pax({ size: '1' }, 'g'), file('a', '')), /sets "size" of all/],
    [
      'global headers without end',
      Buffer.concat(Array(600).fill(pax({ a: 'b' }, 'g'))),
      /over \d+/,
    ],
    ['a PAX name with NUL', archive(pax({ path: 'a\0b' }), file('a', '')), /NUL byte/],
    ['a PAX size that is none', archive(pax({ size: '0x10' }), file('a', '')), /no size: "0x10"/],
    ['a PAX record too short', archive(file('x', '3 a=b\n', { type: 'x' })), /wrong length/],
    ['a PAX record too long', archive(file('x', '99 a=b\n', { type: 'x' })), /wrong length/],
    ['a PAX record without a length', archive(file('x', 'a=b\n', { type: 'x' })), /wrong length/],
    ['a PAX record without a key', archive(file('x', '5 =b\n', { type: 'x' })), /without a key/],
    ['a name for nothing', archive(gnuLong('L', 'b')), /announces an entry/],
    [
      'entries after a lone zero block, which only some would unpack',
      archive(file('a', 'x'), END.subarray(512), file('b', 'x')),
      /before the end/,
    ],
    ['an end inside a file', file('a', 'x'.repeat(2_000)).subarray(0, 1_000), /inside "a"/],
    ['an end inside the padding', file('a', 'x').subarray(0, 900), /too early/],
    ['an end inside a header', file('a', 'x').subarray(0, 500), /too early/],
    ['an end after an announcement', gnuLong('L', 'b'), /too early/],
  ])('%s', (_, input, want) => {
    expect(violationOf(readAll(input))).toMatch(want)
  })

  it('and gives out what came before, wherever the stream was cut', () => {
    const input = Buffer.concat([file('a', 'x'), damaged, file('c', 'x')])
    for (let cut = 0; cut <= input.length; cut += 7) {
      const events = readCut(input, [cut])
      expect(events.map(({ kind }) => kind).filter((kind) => kind === 'violation')).toHaveLength(1)
      expect(bytesOfAll(events).equals(file('a', 'x'))).toBe(true)
    }
  })

  it('names that a terminal would obey are escaped', () => {
    const name = 'a\u001b[2J\n"\u202e'
    const said = violationOf(readAll(archive(file(name, 'x', { type: '5' }))))
    expect(said).toContain(String.raw`"a\u{1b}[2J\n\"\u{202e}"`)
  })

  it('limits are arguments', () => {
    const reader = (): TarReader => new TarReader({ maxHeaderBody: 100, maxPath: 10 })
    expect(violationOf(readCut(gnuLong('L', 'n'.repeat(100)), [], reader()))).toMatch(/most 100/)
    expect(violationOf(readCut(file('n'.repeat(11), ''), [], reader()))).toMatch(/most 10 /)
  })
})

import { describe, expect, it } from '@jest/globals'

import type { CopyRules } from '../../../lib/api/copy-rules.ts'
import { CopyGate, tarUnreadable } from '../../../lib/copy/copy-rules.ts'
import type { CopyCommand } from '../../../lib/copy/recognise-copy.ts'
import { TarViolation } from '../../../lib/copy/tar-violation.ts'
import {
  archive,
  entriesOf,
  file,
  gnuLong,
  header,
  pax,
  readAll,
  realTar,
  violationOf,
} from './archives.ts'

const ALL: CopyRules = {
  directions: ['Download', 'Upload'],
  pathSets: [],
  maxBytes: undefined,
  maskText: false,
}
const DATA: CopyRules = { ...ALL, pathSets: [['/data/**', '/tmp/*.log']] }

function download(...paths: string[]): CopyCommand {
  return { kind: 'Download', paths, fromByte: 1 }
}

function upload(directory: string | undefined): CopyCommand {
  return { kind: 'Upload', directory }
}

function probe(path: string): CopyCommand {
  return { kind: 'Probe', path }
}

function refusedCommand(rules: CopyRules, command: CopyCommand): string | undefined {
  return new CopyGate(rules, command).refuseCommand()?.message
}

/** The first refusal of an entry, and which entry it was. */
function refusedEntry(
  rules: CopyRules,
  command: CopyCommand,
  ...parts: Uint8Array[]
): [number, string] | undefined {
  const gate = new CopyGate(rules, command)
  const events = readAll(archive(...parts))
  expect(violationOf(events)).toBeUndefined()
  for (const [k, entry] of entriesOf(events).entries()) {
    const refusal = gate.refuseEntry(entry)
    if (refusal !== undefined) {
      expect(refusal).toMatchObject({ id: 1040, reason: 'Forbidden' })
      return [k, refusal.message]
    }
  }
  return undefined
}

const link = (name: string, linkName: string): Buffer => header({ name, type: '2', linkName })
const hardLink = (name: string, linkName: string): Buffer => header({ name, type: '1', linkName })

describe('the command', () => {
  it.each<[string, CopyRules, CopyCommand]>([
    ['anything, when nothing is ruled out', ALL, download('a')],
    ['a retry, when nothing has to be looked at', ALL, { ...download('/a'), fromByte: 9 } as never],
    ['a file that is allowed', DATA, download('/data/a')],
    ['a folder that is allowed', DATA, download('/data')],
    ['a folder with something allowed below', DATA, download('/tmp')],
    ['all, since each entry is decided', DATA, download('/')],
    ['a path with dots that mean nothing', DATA, download('/data/./a/.')],
    ['into an allowed folder', DATA, upload('/data/sub')],
    ['into a folder with something allowed below', DATA, upload('/tmp')],
    ['the question whether a target is a folder', DATA, probe('/tmp/a.log')],
  ])('passes %s', (_, rules, command) => {
    expect(refusedCommand(rules, command)).toBeUndefined()
  })

  it.each<[string, CopyRules, CopyCommand, string]>([
    [
      'the other direction',
      { ...ALL, directions: ['Upload'] },
      download('/a'),
      'copying from the container is refused, because the policy allows copies the other way only. Ask the author of the policy',
    ],
    [
      'any direction',
      { ...ALL, directions: [] },
      upload('/a'),
      'copying into the container is refused, because the policy allows no copies. Ask the author of the policy',
    ],
    [
      'the question before an upload that is not allowed',
      { ...ALL, directions: ['Download'] },
      probe('/a'),
      'copying into the container is refused, because the policy allows copies the other way only. Ask the author of the policy',
    ],
    [
      'another path',
      DATA,
      download('/etc/passwd'),
      'copying from the container "/etc/passwd" is refused, because the policy allows only "/data/**", "/tmp/*.log". Ask the author of the policy, or leave it out',
    ],
    ['one of several paths', DATA, download('/data/a', '/etc/passwd'), '"/etc/passwd" is refused'],
    ['another folder', DATA, upload('/etc'), '"/etc" is refused'],
    ['a folder with a name that begins alike', DATA, upload('/database'), '"/database" is refused'],
    ['a relative path', DATA, download('a'), 'Name it from / on and without ".."'],
    ['no folder', DATA, upload(undefined), '"." is refused'],
    ['a path that climbs', DATA, download('/data/../etc/passwd'), 'Name it from / on'],
    [
      'a path outside of one of two sets',
      { ...ALL, pathSets: [['/data/**'], ['/data/public/**']] },
      download('/data/private'),
      'the policy allows only "/data/public/**"',
    ],
    ['all, where a set is empty', { ...ALL, pathSets: [[]] }, download('/a'), 'no path at all'],
    [
      'the rest of an archive, where paths are ruled',
      DATA,
      { kind: 'Download', paths: ['/data/a'], fromByte: 513 },
      'without --retries',
    ],
    [
      'the rest of an archive, where sizes are ruled',
      { ...ALL, maxBytes: 5 },
      { kind: 'Download', paths: ['/data/a'], fromByte: 513 },
      'without --retries',
    ],
    [
      'the rest of an archive, where text is masked',
      { ...ALL, maskText: true },
      { kind: 'Download', paths: ['/data/a'], fromByte: 513 },
      'without --retries',
    ],
  ])('refuses %s', (_, rules, command, want) => {
    expect(refusedCommand(rules, command)).toContain(want)
  })
})

describe('an entry on its way out', () => {
  it.each<[string, CopyRules, CopyCommand, Uint8Array[]]>([
    ['anything, when nothing is ruled out', ALL, download('a'), [file('../x', 'x')]],
    ['a file, without the slash tar takes away', DATA, download('/data/a'), [file('data/a', 'x')]],
    ['a file with the slash kept', DATA, download('/data/a'), [file('/data/a', 'x')]],
    [
      'a folder above allowed files',
      DATA,
      download('/tmp'),
      [header({ name: 'tmp/', type: '5' }), file('tmp/a.log', 'x')],
    ],
    ['names with dots that mean nothing', DATA, download('/data/.'), [file('data/./a', 'x')]],
    ['a link, which kubectl skips', DATA, download('/data'), [link('data/l', '/etc/passwd')]],
  ])('passes %s', (_, rules, command, parts) => {
    expect(refusedEntry(rules, command, ...parts)).toBeUndefined()
  })

  it.each<[string, CopyCommand, Uint8Array[], number, string]>([
    [
      'a file that is not allowed, after one that is',
      download('/tmp'),
      [file('tmp/a.log', 'x'), file('tmp/key.pem', 'x')],
      1,
      '"tmp/key.pem" is refused, because the policy allows only',
    ],
    ['what was not asked for', download('/data/a'), [file('data/b', 'x')], 0, 'not asked for'],
    ['what only begins alike', download('/data/a'), [file('data/ab', 'x')], 0, 'not asked for'],
    ['a name that climbs', download('/data'), [file('data/../data/a', 'x')], 0, 'not asked for'],
  ])('refuses %s', (_, command, parts, at, want) => {
    expect(refusedEntry(DATA, command, ...parts)).toEqual([at, expect.stringContaining(want)])
  })

  it('passes what tar makes of a folder', () => {
    const tree = { files: { 'data/a': 'x', 'data/b/c': 'y' }, folders: ['data/d'] }
    const gate = new CopyGate(DATA, download('/data'))
    const entries = entriesOf(readAll(realTar(tree, [], ['data'])))
    expect(entries.length).toBe(5)
    expect(entries.map((entry) => gate.refuseEntry(entry))).toEqual(entries.map(() => undefined))
  })
})

describe('an entry on its way in', () => {
  it.each<[string, CopyRules, CopyCommand, Uint8Array[]]>([
    ['files, when no path is ruled out', ALL, upload('.'), [file('a/b', 'x'), link('l', '/etc')]],
    ['a file in an allowed folder', DATA, upload('/data'), [file('a/b', 'x')]],
    ['a file that is allowed by its name', DATA, upload('/tmp'), [file('a.log', 'x')]],
    ['a name with dots that mean nothing', DATA, upload('/data/.'), [file('./a', 'x')]],
    ['a name with dots in it', DATA, upload('/data'), [file('a..b/..c', 'x')]],
    ['a link that stays', DATA, upload('/data'), [link('a/l', '../b'), link('m', '/data/x')]],
    ['a hard link that stays', DATA, upload('/data'), [file('a', 'x'), hardLink('b', 'a')]],
    ['a long name', DATA, upload('/data'), [gnuLong('L', 'n'.repeat(200)), file('nn', 'x')]],
  ])('passes %s', (_, rules, command, parts) => {
    expect(refusedEntry(rules, command, ...parts)).toBeUndefined()
  })

  it.each<[string, CopyRules, Uint8Array[], number, string]>([
    ['a name that climbs', ALL, [file('../etc/cron.d/x', 'x')], 0, 'leads out of the folder'],
    ['a name that climbs within', ALL, [file('a/../../x', 'x')], 0, 'leads out of the folder'],
    ['two dots alone', ALL, [header({ name: '..', type: '5' })], 0, 'leads out of the folder'],
    ['an absolute name', ALL, [file('/etc/passwd', 'x')], 0, '"/etc/passwd" is refused'],
    [
      'a climbing name that only a tar without PAX sees',
      ALL,
      [pax({ path: 'good' }), file('../evil', 'x')],
      0,
      '"../evil" is refused, because its name leads out',
    ],
    ['a character device', ALL, [header({ name: 'a', type: '3' })], 0, 'a device or a pipe'],
    ['a block device', ALL, [header({ name: 'a', type: '4' })], 0, 'a device or a pipe'],
    ['a pipe', ALL, [header({ name: 'a', type: '6' })], 0, 'a device or a pipe'],
    ['a kind nobody knows', ALL, [header({ name: 'a', type: 'Z' })], 0, 'unpack this kind'],
    ['a link out', DATA, [link('l', '/etc')], 0, '"/data/l -> /etc" is refused'],
    ['a relative link out', DATA, [link('a/l', '../../etc')], 0, '"/data/a/l -> ../../etc"'],
    ['a link to the root', DATA, [link('l', '/')], 0, '"/data/l -> /"'],
    [
      'a link whose other target leads out',
      DATA,
      [pax({ linkpath: 'a' }), link('l', '/etc')],
      0,
      '"/data/l -> /etc"',
    ],
    ['writing through a link', DATA, [link('l', 'b'), file('l/x', 'x')], 1, 'through a link of'],
    ['a folder through a link', DATA, [link('l', 'b'), link('l/m', '/data')], 1, 'through a link'],
    [
      'a file in place of a link',
      DATA,
      [link('l', 'b'), file('./l', 'x')],
      1,
      'it replaces a link',
    ],
    ['a hard link to a link', DATA, [link('l', 'b'), hardLink('h', 'l')], 1, 'link of the same'],
    ['a hard link out', DATA, [hardLink('h', '/etc/shadow')], 0, '"/etc/shadow" is refused'],
    ['a hard link that climbs', DATA, [hardLink('h', '../etc/shadow')], 0, 'leads out'],
    [
      'content that a tar without PAX takes for entries',
      DATA,
      [pax({ size: '512' }), header({ name: 'a' }), header({ name: 'evil' })],
      0,
      'only some tar programs can read its headers',
    ],
    [
      'an empty name that a tar without PAX takes for the end',
      DATA,
      [pax({ path: 'good' }), header({ name: '' })],
      0,
      'only some tar programs',
    ],
  ])('refuses %s', (_, rules, parts, at, want) => {
    expect(refusedEntry(rules, upload('/data'), ...parts)).toEqual([
      at,
      expect.stringContaining(want),
    ])
  })

  it('refuses a name that only a tar without PAX sees, and no policy allows', () => {
    const parts = [pax({ path: 'a.log' }), file('key', 'x')]
    expect(refusedEntry(DATA, upload('/tmp'), ...parts)?.[1]).toContain('"/tmp/key" is refused')
  })

  it('refuses a link where only one of two folders is allowed by each policy', () => {
    const rules = { ...ALL, pathSets: [['/data/**'], ['/data/public/**']] }
    const refused = refusedEntry(rules, upload('/data/public'), link('l', '../private'))
    expect(refused?.[1]).toContain('"/data/public/l -> ../private"')
  })

  it('refuses a sparse file, which BusyBox reads otherwise', () => {
    const input = realTar(
      { withHoles: { holes: 2 ** 21 } },
      ['--format=gnu', '--sparse'],
      ['holes'],
    )
    const [entry] = entriesOf(readAll(input))
    if (entry === undefined) throw new Error('no entry')
    expect(new CopyGate(ALL, upload('/data')).refuseEntry(entry)?.message).toContain('differently')
  })

  it('remembers so many links only', () => {
    const gate = new CopyGate(DATA, upload('/data'))
    const [entry] = entriesOf(readAll(archive(link('l', 'b'))))
    if (entry === undefined) throw new Error('no entry')
    const refusals = Array.from({ length: 10_001 }, (_, k) =>
      gate.refuseEntry({ ...entry, path: `l${k}`, otherPaths: [] }),
    )
    expect(refusals.findIndex((refusal) => refusal !== undefined)).toBe(10_000)
    expect(refusals.at(-1)?.message).toContain('it is the 10001th link')
  })
})

describe('sizes', () => {
  const LIMITED = { ...ALL, maxBytes: 1_000 }

  it('one file over the limit is refused by its header', () => {
    const gate = new CopyGate(LIMITED, upload('/data'))
    const [entry] = entriesOf(readAll(header({ name: 'huge', size: 2 ** 40 })))
    if (entry === undefined) throw new Error('no entry')
    expect(gate.refuseEntry(entry)?.message).toBe(
      `copying into the container "huge" is refused, because its ${2 ** 40} bytes are over the ` +
        "policy's limit of 1000 in one copy. Copy less at once, or ask the author of the policy",
    )
  })

  it('all files together are counted', () => {
    const parts = [file('a', 'x'.repeat(600)), file('b', 'x'.repeat(400)), file('c', 'x')]
    expect(refusedEntry(LIMITED, download('/'), ...parts)).toEqual([
      2,
      expect.stringContaining('its 1 bytes, after 1000 of other files, are over'),
    ])
  })

  it('a sparse file counts as it is when unpacked', () => {
    const input = realTar(
      { withHoles: { holes: 2 ** 21 } },
      ['--format=pax', '--sparse'],
      ['holes'],
    )
    const [entry] = entriesOf(readAll(input))
    if (entry === undefined) throw new Error('no entry')
    const gate = new CopyGate({ ...ALL, maxBytes: 2 ** 21 - 1 }, download('/holes'))
    expect(gate.refuseEntry(entry)?.message).toContain(`its ${2 ** 21} bytes are over`)
  })
})

describe('the words', () => {
  it('escape what a terminal would obey', () => {
    const refused = refusedEntry(ALL, upload('/data'), file('../\n\u001b[31m"\u202e', 'x'))
    expect(refused?.[1]).toContain(String.raw`"../\n\u{1b}[31m\"\u{202e}"`)
  })

  it('fit a Status that kubectl shows whole, whatever the names and rules are', () => {
    const patterns = Array.from({ length: 50 }, (_, k) => `/${'東'.repeat(300)}${k}`)
    const gate = new CopyGate({ ...ALL, pathSets: [patterns] }, download(`/${'é'.repeat(3_000)}`))
    const status = gate.refuseCommand()?.toStatus()
    expect(Buffer.byteLength(JSON.stringify(status))).toBeLessThanOrEqual(1_000)
    expect(status?.message).toContain('[PODGATE-1040]')
  })

  it.each(['\u202e', '\n', 'x', '東', '😀'])('show both ends of a name of many %j', (character) => {
    const name = `../begin${character.repeat(1_500)}end`
    const refused = refusedEntry(ALL, upload('/data'), gnuLong('L', name), file('a', 'x'))
    expect(refused?.[1]).toMatch(/"\.\.\/begin.*….*end" is refused/)
    expect(refused?.[1].length).toBeLessThan(320)
  })

  it('tell why a stream cannot be read', () => {
    const refusal = tarUnreadable('Download', new TarViolation('an entry has no name'))
    expect(refusal).toMatchObject({ id: 1041, reason: 'BadRequest' })
    expect(refusal.message).toBe(
      'copying from the container was stopped, because its tar stream cannot be read: an entry ' +
        'has no name. Run the copy again; if it stays, copy smaller parts, to find the file that ' +
        'causes it',
    )
  })
})

describe('resolve', () => {
  it.each<[string, CopyCommand, string, string]>([
    ['what comes in', upload('/data/sub'), './a', '/data/sub/a'],
    ['what comes into a folder not known', upload('.'), 'a', 'a'],
    ['what goes out', download('/data'), 'data/a', '/data/a'],
    ['what goes out of a folder not known', download('data'), 'data/a', 'data/a'],
  ])('says where %s is', (_, command, path, want) => {
    expect(new CopyGate(ALL, command).resolve(path)).toBe(want)
  })
})

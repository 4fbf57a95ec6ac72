import { describe, expect, it } from '@jest/globals'

import { recogniseCopy, type CopyCommand } from '../../../lib/copy/recognise-copy.ts'

const OUT = { stdin: false, tty: false }
const IN = { stdin: true, tty: false }

function download(paths: string[], fromByte = 1): CopyCommand {
  return { kind: 'Download', paths, fromByte }
}

function upload(directory?: string): CopyCommand {
  return { kind: 'Upload', directory }
}

const RETRIES = (script: string): string[] => ['sh', '-c', script]

describe('recogniseCopy', () => {
  it.each<[string, string[], CopyCommand]>([
    ['one path', ['tar', 'cf', '-', '/data/a.txt'], download(['/data/a.txt'])],
    ['a relative path', ['tar', 'cf', '-', 'a'], download(['a'])],
    ['a path with blanks', ['tar', 'cf', '-', '/data/a b'], download(['/data/a b'])],
    ['a path with a newline', ['tar', 'cf', '-', '/data/a\nb'], download(['/data/a\nb'])],
    ['several paths', ['tar', 'cf', '-', '/a', '/b'], download(['/a', '/b'])],
    ['the first try of --retries', RETRIES('tar cf - /data/a | tail -c+0'), download(['/data/a'])],
    ['a later try', RETRIES('tar cf - /data/a | tail -c+1025'), download(['/data/a'], 1025)],
    ['a path in quotes', RETRIES("tar cf - '/a b; c' | tail -c+1"), download(['/a b; c'])],
    [
      'a quote in quotes',
      RETRIES(String.raw`tar cf - '/it'\''s' | tail -c+1`),
      download(["/it's"]),
    ],
    ['a quote in double quotes', RETRIES(`tar cf - '/it'"'"'s' | tail -c+1`), download(["/it's"])],
  ])('a download of %s', (_, argv, want) => {
    expect(recogniseCopy(argv, OUT)).toEqual(want)
  })

  it.each<[string, string[], CopyCommand]>([
    ['as kubectl 1.18 and newer', ['tar', '-xmf', '-', '-C', '/data'], upload('/data')],
    ['without a folder', ['tar', '-xmf', '-'], upload()],
    [
      'with --no-preserve',
      ['tar', '--no-same-permissions', '--no-same-owner', '-xmf', '-', '-C', '.'],
      upload('.'),
    ],
    [
      'with --no-preserve and no folder',
      ['tar', '--no-same-permissions', '--no-same-owner', '-xmf', '-'],
      upload(),
    ],
    ['as kubectl to 1.17', ['tar', '-xf', '-', '-C', '/data'], upload('/data')],
    ['as kubectl to 1.14', ['tar', 'xf', '-', '-C', '/data'], upload('/data')],
    ['into a folder that looks like an option', ['tar', '-xmf', '-', '-C', '-x'], upload('-x')],
  ])('an upload %s', (_, argv, want) => {
    expect(recogniseCopy(argv, IN)).toEqual(want)
  })

  it('the question before an upload', () => {
    expect(recogniseCopy(['test', '-d', '/data'], OUT)).toEqual({ kind: 'Probe', path: '/data' })
  })

  it.each<[string, string[]]>([
    ['nothing at all', []],
    ['a command after the copy', RETRIES("tar cf - 'x' | tail -c+1; rm -rf /")],
    ['a command after the copy, in quotes again', RETRIES("tar cf - 'x'; rm 'y' | tail -c+1")],
    ['a line after the copy', RETRIES("tar cf - 'x' | tail -c+1\nrm -rf /")],
    ['a line break at the end', RETRIES('tar cf - x | tail -c+1\n')],
    ['a substitution', RETRIES('tar cf - $(id) | tail -c+1')],
    ['backticks', RETRIES('tar cf - `id` | tail -c+1')],
    ['a variable', RETRIES('tar cf - $HOME | tail -c+1')],
    ['a pattern for the shell', RETRIES('tar cf - /data/* | tail -c+1')],
    ['a home folder', RETRIES('tar cf - ~root | tail -c+1')],
    ['two paths without quotes', RETRIES('tar cf - /a /b | tail -c+1')],
    ['double quotes', RETRIES('tar cf - "/a" | tail -c+1')],
    ['an escaped blank', RETRIES(String.raw`tar cf - /a\ b | tail -c+1`)],
    ['a redirection', RETRIES('tar cf - /a >/x | tail -c+1')],
    ['an open quote', RETRIES("tar cf - 'x | tail -c+1")],
    ['no path', RETRIES('tar cf -  | tail -c+1')],
    ['an empty path', RETRIES("tar cf - '' | tail -c+1")],
    ['no offset', RETRIES('tar cf - /a | tail -c+')],
    ['an offset from the end', RETRIES('tar cf - /a | tail -c5')],
    ['an offset beyond any file', RETRIES('tar cf - /a | tail -c+99999999999999999')],
    ['another shell', ['bash', '-c', 'tar cf - /a | tail -c+1']],
    ['an argument after the script', ['sh', '-c', 'tar cf - /a | tail -c+1', 'x']],
    ['an option of sh', ['sh', '-ec', 'tar cf - /a | tail -c+1']],
    ['an option as the path of a retry', RETRIES('tar cf - --to-command=id | tail -c+1')],
    ['an option as the path of a retry, in quotes', RETRIES("tar cf - '-I id' | tail -c+1")],
    ['an option as the path', ['tar', 'cf', '-', '--checkpoint-action=exec=id']],
    ['an option after the path', ['tar', 'cf', '-', '/a', '-I', 'id']],
    ['a change of folder', ['tar', 'cf', '-', '-C', '/', 'a']],
    ['an archive of bsdtar', ['tar', 'cf', '-', '@/a.tar']],
    ['no paths', ['tar', 'cf', '-']],
    ['an empty path of tar', ['tar', 'cf', '-', '']],
    ['another archive', ['tar', 'cf', '/x.tar', '/a']],
    ['compression', ['tar', 'czf', '-', '/a']],
    ['a dash before the mode', ['tar', '-cf', '-', '/a']],
    ['another place of tar', ['/bin/tar', 'cf', '-', '/a']],
    ['an upload without stdin', ['tar', '-xmf', '-', '-C', '/a']],
    ['a test of something else', ['test', '-f', '/a']],
    ['a test of more', ['test', '-d', '/a', '-o', '-d', '/b']],
    ['a test of nothing', ['test', '-d', '']],
    ['a test without a path', ['test', '-d']],
    ['the other name of test', ['[', '-d', '/a', ']']],
  ])('%s is no download', (_, argv) => {
    expect(recogniseCopy(argv, OUT)).toBeUndefined()
  })

  it.each<[string, string[]]>([
    ['a download', ['tar', 'cf', '-', '/a']],
    ['a download with retries', RETRIES('tar cf - /a | tail -c+1')],
    ['the question before an upload', ['test', '-d', '/a']],
    ['an option in place of the folder', ['tar', '-xmf', '-', '--to-command=id']],
    ['an option after the folder', ['tar', '-xmf', '-', '-C', '/a', '-P']],
    ['no folder after -C', ['tar', '-xmf', '-', '-C']],
    ['an empty folder after -C', ['tar', '-xmf', '-', '-C', '']],
    ['one entry only', ['tar', '-xmf', '-', 'a']],
    ['another archive', ['tar', '-xmf', '/a.tar', '-C', '/a']],
    ['keeping absolute names', ['tar', '-xPmf', '-', '-C', '/a']],
    ['one of the two options', ['tar', '--no-same-owner', '-xmf', '-', '-C', '/a']],
    [
      'the two options with a mode kubectl never wrote',
      ['tar', '--no-same-permissions', '--no-same-owner', 'xf', '-', '-C', '/a'],
    ],
  ])('%s is no upload', (_, argv) => {
    expect(recogniseCopy(argv, IN)).toBeUndefined()
  })

  it.each([[['tar', 'cf', '-', '/a']], [['tar', '-xmf', '-']], [['test', '-d', '/a']]])(
    '%j with a terminal is no copy',
    (argv) => {
      for (const stdin of [true, false]) {
        expect(recogniseCopy(argv, { stdin, tty: true })).toBeUndefined()
      }
    },
  )
})

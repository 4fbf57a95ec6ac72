import { readFile } from 'node:fs/promises'

import { describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import { CliError, ExitCode } from '../../../lib/cli/cli-error.ts'
import { colour, formatDocument, parseOutputFormat } from '../../../lib/cli/output.ts'
import { printError } from '../../../lib/cli/run-command.ts'
import { bytesText } from '../../../lib/cli/byte-count.ts'
import { VERSION } from '../../../lib/cli/version.ts'
import { worstOf } from '../../../lib/cli/worst-of.ts'
import { hasUnsafeCharacters } from '../../../lib/streams/sanitize-terminal.ts'
import { createFakeIo } from '../../fakes/cli-io.ts'

const terminal = { columns: 80, rows: 24 }

describe('formatDocument', () => {
  const document = {
    plain: 'text: with colon',
    evil: 'a\u202eb\u009b2J\x1b[m\u{e0041}',
    lines: 'one\ntwo\n',
    long: 'word '.repeat(40).trim(),
    'key\u200b': [1, true, null, '1'],
  }
  it.each([
    { format: 'json', read: (text: string): unknown => JSON.parse(text) },
    { format: 'yaml', read: (text: string): unknown => parse(text) },
  ] as const)('$format holds the same values and nothing unsafe', async ({ format, read }) => {
    const text = await formatDocument(document, format)
    expect(read(text)).toEqual(document)
    expect(hasUnsafeCharacters(text.replaceAll('\n', ''))).toBe(false)
    expect(text.endsWith('\n')).toBe(true)
  })
})

describe('colour', () => {
  it.each([
    { name: 'on a terminal', env: {}, terminal, want: true },
    { name: 'not into a file', env: {}, terminal: undefined, want: false },
    { name: 'not with NO_COLOR', env: { NO_COLOR: '1' }, terminal, want: false },
    {
      name: 'with an empty NO_COLOR, which counts as unset',
      env: { NO_COLOR: '' },
      terminal,
      want: true,
    },
    { name: 'not on a dumb terminal', env: { TERM: 'dumb' }, terminal, want: false },
  ])('$name: $want', ({ env, terminal: size, want }) => {
    const io = createFakeIo({ env, ...(size === undefined ? {} : { terminal: size }) })
    expect(colour(io, io.stdout, 'red', 'x') !== 'x').toBe(want)
  })
})

describe('printError', () => {
  it.each([
    {
      name: 'our own words',
      error: new CliError(ExitCode.Error, 'no such thing'),
      want: 'error: no such thing\n',
    },
    { name: 'a foreign error', error: new Error('boom'), want: 'error: boom\n' },
    {
      name: 'an unreachable server',
      error: new CliError(ExitCode.Unreachable, 'Unable to connect to the server x: y'),
      want: 'Unable to connect to the server x: y\n',
    },
    {
      name: 'words of a stranger, harmless',
      error: new CliError(ExitCode.Error, 'a\nb\x1b[2J'),
      want: 'error: a\nb\\x1b[2J\n',
    },
  ])('$name', ({ error, want }) => {
    const io = createFakeIo()
    printError(io, error)
    expect(io.err()).toBe(want)
  })
})

describe('worstOf', () => {
  it.each([
    { codes: [], want: 0 },
    { codes: [0, 0], want: 0 },
    { codes: [0, 5, 5], want: 5 },
    { codes: [5, 4], want: 1 },
  ] as const)('$codes is $want', ({ codes, want }) => {
    expect(worstOf(codes)).toBe(want)
  })
})

describe('parseOutputFormat', () => {
  it('names the formats there are', () => {
    expect(() => parseOutputFormat('name', ['json', 'wide'])).toThrow('use json, wide')
  })
})

describe('bytesText', () => {
  it.each([
    { bytes: 0, want: '0' },
    { bytes: 1023, want: '1023' },
    { bytes: 1024, want: '1.0Ki' },
    { bytes: 1_572_864, want: '1.5Mi' },
    { bytes: 3 * 1024 ** 4, want: '3072.0Gi' },
  ])('$bytes is $want', ({ bytes, want }) => {
    expect(bytesText(bytes)).toBe(want)
  })
})

describe('VERSION', () => {
  it('is that of the package', async () => {
    const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8')
    expect(VERSION).toBe((JSON.parse(text) as { version: string }).version)
  })
})

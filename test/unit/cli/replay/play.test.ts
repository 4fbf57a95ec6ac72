import { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'

import { describe, expect, it } from '@jest/globals'

import { endText } from '../../../../lib/cli/replay/entry.ts'
import { playTranscript, type PlayOptions } from '../../../../lib/cli/replay/play.ts'
import { createFakeIo, type FakeIo, type FakeIoOptions } from '../../../fakes/cli-io.ts'

type Line = [atMs: number, kind: string, text: string]

const RESET = '\x1b[!p\x1b[0m\x1b(B\x1b[?25h\x1b[?7h'
const AT_ONCE: PlayOptions = { speed: 0, idleLimitMs: undefined, raw: false }

async function* linesOf(lines: readonly Line[]): AsyncGenerator {
  for (const [atMs, kind, text] of lines) {
    yield { atMs, kind, data: Buffer.from(text, 'latin1').toString('base64') }
  }
}

async function* broken(): AsyncGenerator {
  yield { atMs: 0, kind: 'stdout', data: Buffer.from('a').toString('base64') }
  throw new Error('cut')
}

async function play(
  lines: readonly Line[],
  options: Partial<PlayOptions> = {},
  surroundings: FakeIoOptions = {},
): Promise<FakeIo> {
  const io = createFakeIo(surroundings)
  await playTranscript(linesOf(lines), io, { ...AT_ONCE, ...options }, new AbortController().signal)
  return io
}

describe('a replay keeps time', () => {
  const lines: Line[] = [
    [0, 'stdout', 'a'],
    [500, 'stdout', 'b'],
    [10_500, 'stdout', 'c'],
    [10_600, 'stderr', 'd'],
  ]
  it.each([
    { name: 'as it was', options: { speed: 1 }, want: [0, 500, 10_500, 10_600] },
    { name: 'twice as fast', options: { speed: 2 }, want: [0, 250, 5250, 5300] },
    { name: 'half as fast', options: { speed: 0.5 }, want: [0, 1000, 21_000, 21_200] },
    {
      name: 'with pauses cut',
      options: { speed: 1, idleLimitMs: 2000 },
      want: [0, 500, 2500, 2600],
    },
    {
      name: 'with pauses cut, then twice as fast',
      options: { speed: 2, idleLimitMs: 2000 },
      want: [0, 250, 1250, 1300],
    },
    { name: 'all at once', options: { speed: 0, idleLimitMs: 2000 }, want: [0, 0, 0, 0] },
  ])('$name', async ({ options, want }) => {
    const io = await play(lines, options)
    expect(io.writes.map(({ atMs }) => atMs)).toEqual(want)
    expect(io.out()).toBe('abc')
    expect(io.err()).toBe('d')
  })

  it('catches up with the time a slow reader took, instead of adding to it', async () => {
    const io = await play(lines, { speed: 1 }, { writeMs: 300 })
    expect(io.writes.map(({ atMs }) => atMs)).toEqual([0, 500, 10_500, 10_800])
    expect(io.sleeps).toEqual([200, 9700])
  })

  it('goes on where the recording clock was set back', async () => {
    const io = await play(
      [
        [1000, 'stdout', 'a'],
        [200, 'stdout', 'b'],
        [1500, 'stdout', 'c'],
      ],
      { speed: 1 },
    )
    expect(io.writes.map(({ atMs }) => atMs)).toEqual([1000, 1000, 1500])
  })

  it('takes nothing from the gateway while a pause lasts', async () => {
    const io = createFakeIo()
    const taken: number[] = []
    async function* source(): AsyncGenerator {
      for (const atMs of [0, 1000, 3000]) {
        taken.push(io.now())
        yield { atMs, kind: 'stdout', data: '' }
      }
    }
    const startMs = io.now()
    await playTranscript(source(), io, { ...AT_ONCE, speed: 1 }, new AbortController().signal)
    expect(taken.map((ms) => ms - startMs)).toEqual([0, 0, 1000])
  })

  it('takes nothing from the gateway while its own reader is slow', async () => {
    const taken: string[] = []
    let release: (() => void) | undefined
    const stdout = new Writable({
      write: (_chunk, _encoding, done) => {
        release = done
      },
    })
    async function* source(): AsyncGenerator {
      for (const text of ['a', 'b', 'c']) {
        taken.push(text)
        yield { atMs: 0, kind: 'stdout', data: Buffer.from(text).toString('base64') }
      }
    }
    const playing = playTranscript(
      source(),
      { ...createFakeIo(), stdout },
      AT_ONCE,
      new AbortController().signal,
    )
    for (const want of [['a'], ['a', 'b'], ['a', 'b', 'c']]) {
      await setImmediate()
      expect(taken).toEqual(want)
      release?.()
    }
    await playing
  })
})

describe('a replay shows', () => {
  it('output without what acts on a terminal', async () => {
    const io = await play([
      [0, 'stdout', 'a\x1b]52;c;eA==\x07\x1b[31mb'],
      [0, 'stdout', '\x1b]0;'],
      [0, 'stdout', 't\x07c'],
    ])
    expect(io.out()).toBe('a\x1b[31mbc')
  })

  it('also where the output is no terminal', async () => {
    expect((await play([[0, 'stdout', 'a\x1b[6nb']])).out()).toBe('ab')
  })

  it('each channel by itself: half a sequence on one is not finished by the other', async () => {
    const io = await play([
      [0, 'stdout', '\x1b['],
      [0, 'stderr', '31mx'],
      [0, 'stdout', '32my'],
    ])
    expect(io.out()).toBe('\x1b[32my')
    expect(io.err()).toBe('31mx')
  })

  it('everything as it was with --raw', async () => {
    const bytes = 'a\x1b]0;t\x07\xff\x9b6n\x00'
    const io = await play([[0, 'stdout', bytes]], { raw: true })
    expect(io.out()).toBe(Buffer.from(bytes, 'latin1').toString('utf8'))
  })

  it('nothing of resizes, and how the command ended, after everything else', async () => {
    const failure = {
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    }
    const io = await play([
      [0, 'resize', '{"Width":80,"Height":24}'],
      [0, 'note', '3 values masked\n'],
      [1, 'error', JSON.stringify(failure)],
      [2, 'stdout', 'late'],
    ])
    expect(io.writes.map(({ to, text }) => [to, text])).toEqual([
      ['stdout', 'late'],
      ['stderr', '3 values masked\n'],
      ['stderr', 'command terminated with exit code 3\n'],
    ])
  })

  it('that the terminal is too small for what was recorded', async () => {
    const lines: Line[] = [
      [0, 'resize', '{"Width":120,"Height":24}'],
      [0, 'resize', '{"Width":200,"Height":50}'],
    ]
    const io = await play(lines, {}, { terminal: { columns: 80, rows: 24 } })
    expect(io.err()).toBe(
      'This was recorded in a terminal of 120x24; yours has 80x24, so lines may be broken.\n',
    )
    expect((await play(lines, {}, { terminal: { columns: 200, rows: 60 } })).err()).toBe('')
  })
})

describe('a replay leaves the terminal in order', () => {
  const terminal = { columns: 80, rows: 24 }
  it.each([
    { name: 'after text', lines: [[0, 'stdout', 'a\r\n']], want: `a\r\n${RESET}` },
    { name: 'in the midst of a line', lines: [[0, 'stdout', 'a']], want: `a${RESET}\r\n` },
    {
      name: 'in the alternate screen',
      lines: [[0, 'stdout', '\x1b[?1049hvi']],
      want: `\x1b[?1049hvi\x1b[?1049l${RESET}`,
    },
    {
      name: 'after the alternate screen',
      lines: [[0, 'stdout', '\x1b[?1049hvi\x1b[?1049l\n']],
      want: `\x1b[?1049hvi\x1b[?1049l\n${RESET}`,
    },
    { name: 'where nothing was shown', lines: [], want: '' },
  ] as { name: string; lines: Line[]; want: string }[])('$name', async ({ lines, want }) => {
    expect((await play(lines, {}, { terminal })).out()).toBe(want)
  })

  it('takes back what --raw let through', async () => {
    const io = await play([[0, 'stdout', '\x1b[?1000h\n']], { raw: true }, { terminal })
    expect(io.out()).toContain('\x1b[?9;1000;1002;1003;1004;1005;1006;1015;2004l')
  })

  it('writes no sequences where the output is no terminal', async () => {
    expect((await play([[0, 'stdout', 'a']])).out()).toBe('a')
  })

  it('also when the transcript breaks off, which is an error', async () => {
    const io = createFakeIo({ terminal })
    const playing = playTranscript(broken(), io, AT_ONCE, new AbortController().signal)
    await expect(playing).rejects.toThrow('cut')
    expect(io.out()).toBe(`a${RESET}\r\n`)
  })

  it('ends at Ctrl-C without showing more', async () => {
    const io = createFakeIo({ terminal })
    const end = new AbortController()
    async function* source(): AsyncGenerator {
      yield { atMs: 0, kind: 'stdout', data: Buffer.from('a').toString('base64') }
      end.abort()
      yield { atMs: 60_000, kind: 'stdout', data: Buffer.from('b').toString('base64') }
    }
    await playTranscript(source(), io, { ...AT_ONCE, speed: 1 }, end.signal)
    expect(io.out()).toBe(`a${RESET}\r\n`)
    expect(io.sleeps).toEqual([])
  })
})

describe('a replay refuses', () => {
  it.each([
    { name: 'a line without kind', line: { atMs: 0, data: '' } },
    { name: 'a line without time', line: { kind: 'stdout', data: '' } },
    { name: 'a line without data', line: { kind: 'stdout', atMs: 0 } },
    { name: 'no object', line: null },
  ])('$name', async ({ line }) => {
    async function* source(): AsyncGenerator {
      yield line
    }
    const playing = playTranscript(source(), createFakeIo(), AT_ONCE, new AbortController().signal)
    await expect(playing).rejects.toThrow('no part of a transcript')
  })
})

describe('endText words the end as kubectl does', () => {
  it.each([
    { name: 'success', status: { status: 'Success' }, want: undefined },
    {
      name: 'a refusal',
      status: { status: 'Failure', message: 'revoked' },
      want: 'error: revoked',
    },
    { name: 'a failure without words', status: { status: 'Failure' }, want: 'error: unknown' },
    { name: 'no Status', status: 'x', want: undefined },
  ])('$name', ({ status, want }) => {
    expect(endText(Buffer.from(JSON.stringify(status)))).toBe(want)
  })
})

import { describe, expect, it } from '@jest/globals'

import { describeBuild } from '../../../lib/cluster/build-progress.ts'
import {
  createProgress,
  estimateSecondsLeft,
  formatDuration,
  type ProgressState,
  renderProgress,
} from '../../../lib/cluster/progress.ts'

describe('formatDuration', () => {
  it.each([
    { seconds: 0, text: '1 s' },
    { seconds: 59.4, text: '59 s' },
    { seconds: 60, text: '1 min' },
    { seconds: 69, text: '1 min' },
    { seconds: 75, text: '1 min 10 s' },
    { seconds: 480, text: '8 min' },
  ])('says $text for $seconds seconds', ({ seconds, text }) => {
    expect(formatDuration(seconds)).toBe(text)
  })
})

describe('renderProgress', () => {
  it.each<{ name: string; state: ProgressState; line: string }>([
    { name: 'what alone', state: { what: 'Starting the node' }, line: 'Starting the node' },
    {
      name: 'what, how far and how long still',
      state: { what: 'Building', fraction: 0.379, detail: 'package 3 of 8', secondsLeft: 190 },
      line: 'Building: 37 %, package 3 of 8, about 3 min 10 s left',
    },
    {
      name: 'no more than all of it',
      state: { what: 'Building', fraction: 1.2 },
      line: 'Building: 100 %',
    },
  ])('shows $name', ({ state, line }) => {
    expect(renderProgress(state)).toBe(line)
  })
})

describe('estimateSecondsLeft', () => {
  it.each([
    { name: 'nothing is known', elapsed: 0, fraction: 0, past: undefined, want: undefined },
    { name: 'only the last run is known', elapsed: 3, fraction: 0, past: 100, want: 100 },
    { name: 'too little is done to tell', elapsed: 30, fraction: 0.04, past: 100, want: 96 },
    { name: 'there was no last run', elapsed: 30, fraction: 0.5, past: undefined, want: 30 },
    { name: 'this run is slower than the last', elapsed: 100, fraction: 0.5, past: 100, want: 75 },
    { name: 'it is done', elapsed: 80, fraction: 1, past: 100, want: 0 },
  ])('is $want when $name', ({ elapsed, fraction, past, want }) => {
    const seconds = estimateSecondsLeft(elapsed, fraction, past)
    if (want === undefined) expect(seconds).toBeUndefined()
    else expect(seconds).toBeCloseTo(want)
  })
})

function draw(options: { isTTY: boolean; env?: Record<string, string>; columns?: number }): {
  written: string[]
  progress: ReturnType<typeof createProgress>
  advance(ms: number): void
} {
  let time = 1_000_000
  const written: string[] = []
  const stream = { ...options, write: (text: string) => written.push(text) }
  const progress = createProgress(stream, { env: options.env ?? {}, now: () => time })
  return { written, progress, advance: (ms) => (time += ms) }
}

describe('createProgress', () => {
  it('rewrites one line on a terminal and ends it with a line that stays', () => {
    const { written, progress } = draw({ isTTY: true, env: { NO_COLOR: '1' } })
    progress.update({ what: 'Building', fraction: 0.1 })
    progress.update({ what: 'Building', fraction: 0.2 })
    progress.done('Built')
    expect(written).toEqual([
      '\r\u001b[KBuilding: 10 %',
      '\r\u001b[KBuilding: 20 %',
      '\r\u001b[KBuilt\n',
    ])
  })

  it('never writes more than the terminal is wide, which would wrap and scroll', () => {
    const { written, progress } = draw({ isTTY: true, columns: 30, env: { NO_COLOR: '1' } })
    progress.update({ what: 'x'.repeat(100) })
    expect(written).toEqual([`\r\u001b[K${'x'.repeat(29)}`])
  })

  it('dims the line where colour is not refused', () => {
    const { written, progress } = draw({ isTTY: true })
    progress.update({ what: 'Building' })
    expect(written).toEqual(['\r\u001b[K\u001b[2mBuilding\u001b[22m'])
  })

  it.each([
    { where: 'a pipe', isTTY: false, env: {} },
    { where: 'a dumb terminal', isTTY: true, env: { TERM: 'dumb' } },
    { where: 'CI', isTTY: true, env: { CI: 'true' } },
  ])(
    'writes plain lines to $where, a new one per task or quarter of a minute',
    ({ isTTY, env }) => {
      const { written, progress, advance } = draw({ isTTY, env })
      progress.update({ what: 'Building', fraction: 0.1 })
      advance(14_000)
      progress.update({ what: 'Building', fraction: 0.2 })
      advance(1_000)
      progress.update({ what: 'Building', fraction: 0.3 })
      progress.update({ what: 'Starting' })
      progress.done('Up')
      expect(written).toEqual(['Building: 10 %\n', 'Building: 30 %\n', 'Starting\n', 'Up\n'])
    },
  )
})

describe('describeBuild', () => {
  const module = { title: 'Kubernetes', binaries: ['a', 'b'] }
  it.each([
    {
      name: 'begins with what the last build took',
      compiled: 0,
      linked: 0,
      elapsed: 0,
      detail: 'package 0 of 100',
      fraction: 0,
      left: 200,
    },
    {
      name: 'counts packages while it compiles',
      compiled: 50,
      linked: 0,
      elapsed: 85,
      detail: 'package 50 of 100',
      fraction: 0.425,
      left: 115,
    },
    {
      name: 'counts programs once all packages are compiled',
      compiled: 100,
      linked: 1,
      elapsed: 185,
      detail: 'linking program 2 of 2',
      fraction: 0.925,
      left: 15,
    },
    {
      name: 'does not go past the end',
      compiled: 120,
      linked: 2,
      elapsed: 200,
      detail: 'linking program 2 of 2',
      fraction: 1,
      left: 0,
    },
  ])('$name', ({ compiled, linked, elapsed, detail, fraction, left }) => {
    const state = describeBuild({
      module,
      compiled,
      linked,
      elapsed,
      past: 200,
      stalePackages: 100,
    })
    expect(state).toMatchObject({ what: 'Building Kubernetes (first run only)', detail })
    expect(state.fraction).toBeCloseTo(fraction)
    expect(state.secondsLeft).toBeCloseTo(left)
  })
})

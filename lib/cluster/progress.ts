/**
 * Tells a waiting person what is going on, how far it is and how long it still
 * takes: one line rewritten on a terminal, now and then a plain line elsewhere.
 */
export interface ProgressState {
  what: string
  /** Between 0 and 1, where it can be known. */
  fraction?: number
  secondsLeft?: number
  detail?: string
}

export interface Progress {
  update(state: ProgressState): void
  /** Ends the current task with a line that stays. */
  done(what: string): void
}

export const silentProgress: Progress = { update: () => {}, done: () => {} }

export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface ProgressOptions {
  env?: Readonly<Record<string, string | undefined>>
  now?: () => number
  /** Between two plain lines about the same task. */
  plainIntervalMs?: number
}

/** "about 3 min 20 s left": coarse on purpose, so that it does not flicker. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  const rest = Math.floor((whole % 60) / 10) * 10
  return rest === 0 ? `${minutes} min` : `${minutes} min ${rest} s`
}

export function renderProgress(state: ProgressState): string {
  const parts = [
    state.fraction === undefined ? undefined : `${Math.floor(clamp(state.fraction) * 100)} %`,
    state.detail,
    state.secondsLeft === undefined ? undefined : `about ${formatDuration(state.secondsLeft)} left`,
  ].filter((part) => part !== undefined)
  return parts.length === 0 ? state.what : `${state.what}: ${parts.join(', ')}`
}

/**
 * What is left, from what has passed; while too little is done to tell, from
 * how long it took last time.
 */
export function estimateSecondsLeft(
  elapsedSeconds: number,
  fraction: number,
  pastSeconds: number | undefined,
): number | undefined {
  const known = clamp(fraction)
  const measured = known > 0 ? (elapsedSeconds / known) * (1 - known) : undefined
  const remembered = pastSeconds === undefined ? undefined : Math.max(0, pastSeconds * (1 - known))
  if (measured === undefined || known < 0.05) return remembered
  if (remembered === undefined) return measured
  // The nearer the end, the more this run's own pace counts.
  return measured * known + remembered * (1 - known)
}

export function createProgress(stream: ProgressStream, options: ProgressOptions = {}): Progress {
  const env = options.env ?? process.env
  const now = options.now ?? Date.now
  const interval = options.plainIntervalMs ?? 15_000
  const rewrites = stream.isTTY === true && env['TERM'] !== 'dumb' && (env['CI'] ?? '') === ''
  const dimmed = rewrites && (env['NO_COLOR'] ?? '') === ''
  let lastWhat: string | undefined
  let lastPlainAt = 0
  return {
    update(state) {
      const line = renderProgress(state)
      if (rewrites) {
        const short = line.slice(0, Math.max(20, (stream.columns ?? 80) - 1))
        stream.write(`\r\u001b[K${dimmed ? `\u001b[2m${short}\u001b[22m` : short}`)
        return
      }
      if (state.what === lastWhat && now() - lastPlainAt < interval) return
      lastWhat = state.what
      lastPlainAt = now()
      stream.write(`${line}\n`)
    },
    done(what) {
      lastWhat = undefined
      stream.write(rewrites ? `\r\u001b[K${what}\n` : `${what}\n`)
    },
  }
}

function clamp(fraction: number): number {
  return Math.min(1, Math.max(0, fraction))
}

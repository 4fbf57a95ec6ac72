/**
 * Times as kubectl shows them, durations as Go writes and reads them.
 */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** `5m20s`, `3h5m`, `2d`: apimachinery's duration.HumanDuration, step by step. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / SECOND)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(ms / MINUTE)
  if (minutes < 10) return join(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(ms / HOUR)
  if (hours < 8) return join(hours, 'h', minutes % 60, 'm')
  const days = Math.trunc(hours / 24)
  if (hours < 48) return `${hours}h`
  if (hours < 24 * 8) return join(days, 'd', hours % 24, 'h')
  if (days < 365 * 2) return `${days}d`
  const years = Math.trunc(days / 365)
  if (days < 365 * 8) return join(years, 'y', days % 365, 'd')
  return `${years}y`
}

function join(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`
}

const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: MINUTE, h: HOUR }
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/

/** Milliseconds of a Go duration (`1m30s`, `500ms`, `0`), or undefined. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (!DURATION.test(text)) return undefined
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    total += Number(amount) * (UNITS[unit ?? ''] ?? Number.NaN)
  }
  return Number.isFinite(total) ? total : undefined
}

/** `10:35 UTC`, with the day where it is not the day of `now`. The gateway's own messages say UTC too. */
export function clockTime(ms: number, now: number): string {
  const text = new Date(ms).toISOString()
  const time = `${text.slice(11, 16)} UTC`
  const day = text.slice(0, 10)
  return day === new Date(now).toISOString().slice(0, 10) ? time : `${day} ${time}`
}

/**
 * The gateway's own log: one JSON line per event, on stdout.
 *
 * `lib/telemetry` holds log and metrics. May import: nothing of ours.
 * Stream bytes, tokens and command lines are never passed to it; redaction
 * below is the second fence, not the first.
 */
import { pino, type Logger } from 'pino'

export type { Logger } from 'pino'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const REDACTED = ['authorization', 'token', 'idToken', 'refreshToken', 'password', 'cookie', 'uri']

export function createLogger(level: LogLevel): Logger {
  return pino({
    level,
    base: { component: 'podgate' },
    messageKey: 'message',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: [...REDACTED, ...REDACTED.map((name) => `*.${name}`)], censor: '[redacted]' },
  })
}

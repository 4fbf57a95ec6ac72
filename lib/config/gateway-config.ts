/**
 * The gateway's configuration file (`podgate serve --config FILE`).
 *
 * Unknown fields are refused, so that a typing error cannot switch something
 * off in silence. May import: errors, policy, streams.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { parse } from 'yaml'
import { z } from 'zod'

import { GatewayError, errorText } from '../errors/gateway-error.ts'
import { parseDuration } from '../policy/duration.ts'
import { DEFAULT_STREAM_LIMITS, type StreamLimits } from '../streams/stream-limits.ts'

export interface IssuerConfig {
  issuer: string
  audience: string
  usernameClaim: string
  usernamePrefix: string
  groupsClaim: string
  groupsPrefix: string
  caFile?: string | undefined
}

export interface GatewayConfig {
  listen: {
    host: string
    port: number
    certFile: string
    keyFile: string
    /** ms, for a TLS handshake and again for the head of a request. */
    headTimeout: number
  }
  metrics: { host: string; port: number }
  cluster: {
    kubeconfig?: string | undefined
    context?: string | undefined
    name: string
    /** Tried first for exec and attach; the other one is the fallback. */
    execWire: 'SPDY' | 'WebSocket'
  }
  mongodb: { uri: string; database: string }
  oidc: IssuerConfig[]
  auditors: { groups: string[] }
  streams: StreamLimits
  logLevel: 'debug' | 'info' | 'warn' | 'error'
}

/** A duration such as `30s`, in ms. */
function duration(fallback: string, least: string, most: string) {
  const [min = 0, max = 0] = [least, most].map(parseDuration)
  return z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms >= min && ms <= max) return ms
      context.addIssue({
        code: 'custom',
        message: `must be a duration between ${least} and ${most}, such as ${fallback}`,
      })
      return z.NEVER
    })
}

function whole(fallback: number, least: number, most: number) {
  return z.number().int().min(least).max(most).default(fallback)
}

const { forward: FORWARD, maxMessageBytes } = DEFAULT_STREAM_LIMITS

const streams = z
  .strictObject({
    handshakeTimeout: duration('30s', '1s', '5m'),
    openTimeout: duration('30s', '1s', '5m'),
    pingInterval: duration('15s', '1s', '5m'),
    deadAfter: duration('60s', '2s', '1h'),
    maxMessageBytes: whole(maxMessageBytes, 64 * 1024, 16 * 1024 * 1024),
    portForward: z
      .strictObject({
        maxConnections: whole(FORWARD.maxConnections, 1, 100_000),
        maxConnectionBytes: whole(FORWARD.maxConnectionBytes, 64 * 1024, 16 * 1024 * 1024),
        maxSessionBytes: whole(FORWARD.maxSessionBytes, 64 * 1024, 64 * 1024 * 1024),
        stuckTimeout: duration('30s', '1s', '1h'),
        pairTimeout: duration('30s', '1s', '5m'),
      })
      .prefault({}),
  })
  .prefault({})
  .refine(({ pingInterval, deadAfter }) => deadAfter >= 2 * pingInterval, {
    path: ['deadAfter'],
    error: 'must be at least twice pingInterval: a live peer needs the time to answer',
  })
  .transform(({ portForward, ...rest }): StreamLimits => {
    const { stuckTimeout, pairTimeout, ...bounds } = portForward
    return {
      handshakeMs: rest.handshakeTimeout,
      openMs: rest.openTimeout,
      pingMs: rest.pingInterval,
      deadAfterMs: rest.deadAfter,
      maxMessageBytes: rest.maxMessageBytes,
      forward: {
        ...bounds,
        stuckMs: stuckTimeout,
        pairTimeoutMs: pairTimeout,
        replyTimeoutMs: rest.openTimeout,
      },
    }
  })

const port = z.number().int().min(0).max(65_535)
const host = z.string().min(1).default('0.0.0.0')

const oidc = z.strictObject({
  issuer: z.url({ protocol: /^https$/, error: 'must be an https:// URL' }),
  audience: z.string().min(1),
  usernameClaim: z.string().min(1).default('sub'),
  usernamePrefix: z.string().default(''),
  groupsClaim: z.string().min(1).default('groups'),
  groupsPrefix: z.string().default(''),
  caFile: z.string().min(1).optional(),
})

const schema: z.ZodType<GatewayConfig> = z.strictObject({
  listen: z.strictObject({
    host,
    port: port.default(8443),
    certFile: z.string().min(1),
    keyFile: z.string().min(1),
    headTimeout: duration('10s', '1s', '5m'),
  }),
  metrics: z
    .strictObject({ host: host.default('127.0.0.1'), port: port.default(9090) })
    .prefault({}),
  cluster: z.strictObject({
    /** Without it the gateway uses the service account of its own pod. */
    kubeconfig: z.string().min(1).optional(),
    context: z.string().min(1).optional(),
    name: z.string().min(1),
    execWire: z.enum(['SPDY', 'WebSocket']).default('SPDY'),
  }),
  mongodb: z.strictObject({
    uri: z.string().regex(/^mongodb(\+srv)?:\/\//, 'must start with mongodb:// or mongodb+srv://'),
    database: z.string().min(1).default('podgate'),
  }),
  oidc: z.array(oidc).min(1, 'needs at least one issuer: nobody could sign in'),
  auditors: z.strictObject({ groups: z.array(z.string().min(1)).default([]) }).prefault({}),
  streams,
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})

function describe(issue: z.core.$ZodIssue): string {
  const field = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
  return `${field.replace(/^\./, '') || 'the file'}: ${issue.message}`
}

/**
 * @param text YAML or JSON
 * @throws GatewayError Invalid naming each wrong field.
 */
export function parseGatewayConfig(text: string, file: string): GatewayConfig {
  let raw: unknown
  try {
    raw = parse(text)
  } catch (error) {
    throw new GatewayError('Invalid', `${file} is not valid YAML: ${errorText(error)}`, {
      cause: error,
    })
  }
  const result = schema.safeParse(raw)
  if (result.success) return result.data
  throw new GatewayError(
    'Invalid',
    `${file} cannot be used:\n  ${result.error.issues.map(describe).join('\n  ')}`,
  )
}

/** Reads the file; relative paths in it are taken from its own folder. */
export async function loadGatewayConfig(file: string): Promise<GatewayConfig> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new GatewayError('NotFound', `--config: ${file} cannot be read (${errorText(error)})`, {
      cause: error,
    })
  }
  const config = parseGatewayConfig(text, file)
  const here = (path: string): string => resolve(dirname(file), path)
  const { kubeconfig } = config.cluster
  return {
    ...config,
    listen: {
      ...config.listen,
      certFile: here(config.listen.certFile),
      keyFile: here(config.listen.keyFile),
    },
    cluster: {
      ...config.cluster,
      ...(kubeconfig === undefined ? {} : { kubeconfig: here(kubeconfig) }),
    },
    oidc: config.oidc.map((issuer) => ({
      ...issuer,
      ...(issuer.caFile === undefined ? {} : { caFile: here(issuer.caFile) }),
    })),
  }
}

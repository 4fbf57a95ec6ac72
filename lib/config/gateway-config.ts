/**
 * The gateway's configuration file (`podgate serve --config FILE`).
 *
 * Unknown fields are refused, so that a typing error cannot switch something
 * off in silence. May import: errors, identity, policy, streams.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { parse } from 'yaml'
import { z } from 'zod'

import { GatewayError, errorText } from '../errors/gateway-error.ts'
import { DEFAULT_STREAM_LIMITS, type StreamLimits } from '../streams/stream-limits.ts'
import { duration } from './duration-field.ts'
import { issuer, type IssuerConfig } from './issuer-config.ts'
import { signIn, type SignInConfig } from './sign-in-config.ts'

export interface CertificateConfig {
  caFile: string
  crlFile?: string | undefined
  usernamePrefix: string
  groupsPrefix: string
  maxLifetimeDays?: number | undefined
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
  /** Undefined: client certificates are not asked for. */
  clientCertificates?: CertificateConfig | undefined
  /** Undefined: service accounts of the cluster are not let in. */
  serviceAccounts?: { audiences: string[] } | undefined
  /** Undefined: people come with the ID tokens of another program. */
  signIn?: SignInConfig | undefined
  auditors: { groups: string[] }
  /** May revoke other people's access. */
  admins: { groups: string[] }
  streams: StreamLimits
  logLevel: 'debug' | 'info' | 'warn' | 'error'
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

const groups = z.strictObject({ groups: z.array(z.string().min(1)).default([]) }).prefault({})

/** What the API server itself takes: a token for it is a key of the cluster, and not for us. */
const CLUSTER_AUDIENCE = /^(?:https?:\/\/)?(?:kubernetes(?:\.|$)|api$)/

const serviceAccounts = z
  .strictObject({
    audiences: z
      .array(
        z
          .string()
          .min(1)
          .refine((audience) => !CLUSTER_AUDIENCE.test(audience), {
            error:
              'is an audience of the API server itself; choose one for the gateway, such as podgate',
          }),
      )
      .min(1),
  })
  .optional()

const clientCertificates = z
  .strictObject({
    caFile: z.string().min(1),
    crlFile: z.string().min(1).optional(),
    usernamePrefix: z.string().default(''),
    groupsPrefix: z.string().default(''),
    maxLifetimeDays: z.int().min(1).max(3650).optional(),
  })
  .optional()

const schema: z.ZodType<GatewayConfig> = z
  .strictObject({
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
      uri: z
        .string()
        .regex(/^mongodb(\+srv)?:\/\//, 'must start with mongodb:// or mongodb+srv://'),
      database: z.string().min(1).default('podgate'),
    }),
    oidc: z.array(issuer).min(1, 'needs at least one issuer: nobody could sign in'),
    clientCertificates,
    serviceAccounts,
    signIn,
    auditors: groups,
    admins: groups,
    streams,
    logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  })
  .superRefine(({ oidc: issuers, signIn: wanted }, context) => {
    for (const [index, { oidc: of }] of (wanted?.providers ?? []).entries()) {
      if (of === undefined || issuers.some((entry) => entry.issuer === of.issuer)) continue
      context.addIssue({
        code: 'custom',
        path: ['signIn', 'providers', index, 'oidc', 'issuer'],
        message: 'must be one of oidc[].issuer, which says how its names are read',
      })
    }
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

function withFiles(
  { caFile, crlFile, ...rest }: CertificateConfig,
  here: (path: string) => string,
): CertificateConfig {
  return {
    ...rest,
    caFile: here(caFile),
    ...(crlFile === undefined ? {} : { crlFile: here(crlFile) }),
  }
}

function locate(config: SignInConfig, here: (path: string) => string): SignInConfig {
  const providers = config.providers.map(({ name, oidc, saml }) => {
    if (saml !== undefined) {
      return { name, saml: { ...saml, metadataFile: here(saml.metadataFile) } }
    }
    const file = oidc?.clientSecretFile
    return {
      name,
      oidc:
        file === undefined || oidc === undefined ? oidc : { ...oidc, clientSecretFile: here(file) },
    }
  })
  return { ...config, providers }
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
    oidc: config.oidc.map((entry) => ({
      ...entry,
      ...(entry.caFile === undefined ? {} : { caFile: here(entry.caFile) }),
    })),
    ...(config.clientCertificates === undefined
      ? {}
      : { clientCertificates: withFiles(config.clientCertificates, here) }),
    ...(config.signIn === undefined ? {} : { signIn: locate(config.signIn, here) }),
  }
}

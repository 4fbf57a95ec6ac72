/**
 * The gateway's configuration file (`podgate serve --config FILE`).
 *
 * Unknown fields are refused, so that a typing error cannot switch something
 * off in silence. May import: errors.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { parse } from 'yaml'
import { z } from 'zod'

import { GatewayError, errorText } from '../errors/gateway-error.ts'

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
  listen: { host: string; port: number; certFile: string; keyFile: string }
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
  logLevel: 'debug' | 'info' | 'warn' | 'error'
}

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

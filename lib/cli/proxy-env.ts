/**
 * Which HTTP proxy to go through: the cluster's `proxy-url`, else HTTPS_PROXY and NO_PROXY of the
 * environment, by the rules of kubectl (golang.org/x/net/http/httpproxy), which know more of NO_PROXY
 * than Node does.
 */
import { BlockList, isIP } from 'node:net'

import { CliError, ExitCode } from './cli-error.ts'

export type ProxyEnv = Record<string, string | undefined>

/**
 * What the agent of node:https takes as its `proxyEnv`; empty means a direct connection.
 *
 * @param address of the server: `https://gate.example.com:8443`
 */
export function proxyEnvOf(
  proxyUrl: string | undefined,
  address: string,
  env: Record<string, string | undefined>,
): ProxyEnv {
  if (proxyUrl !== undefined) return through(proxyUrl, 'proxy-url of the kubeconfig')
  const { protocol, hostname, port } = new URL(address)
  const [variable, usual] = protocol === 'https:' ? ['HTTPS_PROXY', '443'] : ['HTTP_PROXY', '80']
  const proxy = env[variable] || env[variable.toLowerCase()]
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  // Go never sends loopback through a proxy of the environment.
  if (proxy === undefined || proxy === '' || isLoopback(host)) return {}
  const direct = (env['NO_PROXY'] || env['no_proxy']) ?? ''
  if (isExcepted(direct, host, port === '' ? usual : port)) return {}
  return through(proxy.includes('://') ? proxy : `http://${proxy}`, variable)
}

function through(proxy: string, source: string): ProxyEnv {
  if (!/^https?:\/\//.test(proxy)) {
    throw new CliError(
      ExitCode.Error,
      `${source} is ${proxy}, which is not supported; only http:// and https:// proxies are`,
    )
  }
  return { HTTPS_PROXY: proxy, HTTP_PROXY: proxy }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)
}

/** `corp.example` is itself and all below it, `.corp.example` only what is below, `10.0.0.0/8` a network. */
function isExcepted(list: string, host: string, port: string): boolean {
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, port))
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return isWithin(entry, host)
  const [name, only] = withoutPort(entry)
  if (only !== undefined && only !== port) return false
  if (isIP(name) !== 0 || isIP(host) !== 0) return name === host
  const domain = name.startsWith('*.') ? name.slice(1) : name
  return domain.startsWith('.')
    ? host.endsWith(domain)
    : host === domain || host.endsWith(`.${domain}`)
}

function withoutPort(entry: string): [name: string, port: string | undefined] {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(entry) ?? []
  return [bracketed ?? plain ?? entry, port]
}

function isWithin(network: string, host: string): boolean {
  const [base = '', bits = ''] = network.split('/')
  const family = isIP(base)
  const prefix = Number(bits)
  const isPrefix = /^\d+$/.test(bits) && prefix <= (family === 6 ? 128 : 32)
  if (family === 0 || isIP(host) !== family || !isPrefix) return false
  const list = new BlockList()
  list.addSubnet(base, prefix, family === 6 ? 'ipv6' : 'ipv4')
  return list.check(host, family === 6 ? 'ipv6' : 'ipv4')
}

/**
 * Which HTTP proxy to go through: the cluster's `proxy-url`, else HTTPS_PROXY,
 * HTTP_PROXY and NO_PROXY of the environment, as kubectl does.
 */
import { CliError, ExitCode } from './cli-error.ts'

export type ProxyEnv = Record<string, string | undefined>

/** What the agent of node:https takes as its `proxyEnv`; empty means a direct connection. */
export function proxyEnvOf(
  proxyUrl: string | undefined,
  host: string,
  env: Record<string, string | undefined>,
): ProxyEnv {
  if (proxyUrl !== undefined) {
    if (!/^https?:\/\//.test(proxyUrl)) {
      throw new CliError(
        ExitCode.Error,
        `proxy-url ${proxyUrl} of the kubeconfig is not supported; only http:// and https:// proxies are`,
      )
    }
    return { HTTPS_PROXY: proxyUrl, HTTP_PROXY: proxyUrl }
  }
  // Go never sends loopback through a proxy of the environment (net/http ProxyFromEnvironment).
  if (isLoopback(host)) return {}
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy']
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host)
}

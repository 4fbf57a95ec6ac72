/** Runs kubectl to its end. Its own words are the error's. */
import { execFile } from 'node:child_process'

export interface KubectlOptions {
  kubectl: string
  kubeconfig: string
  input?: string
  cwd?: string
  /** Where kubectl keeps what the API server offers, in place of the person's own ~/.kube/cache. */
  cacheDir?: string
  timeoutMs?: number
  signal?: AbortSignal | undefined
}

export function runKubectl(args: readonly string[], options: KubectlOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      options.kubectl,
      args,
      {
        env: environment(options),
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 64 * 1024 * 1024,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`kubectl ${args[0] ?? ''} failed: ${stderr.trim() || error.message}`))
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })
}

function environment(options: KubectlOptions): NodeJS.ProcessEnv {
  const cache = options.cacheDir === undefined ? {} : { KUBECACHEDIR: options.cacheDir }
  // The person's own kubectl preferences (kuberc) must not change what the sandbox does.
  return { ...process.env, KUBECONFIG: options.kubeconfig, KUBERC: 'off', ...cache }
}

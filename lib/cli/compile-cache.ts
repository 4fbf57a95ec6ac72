/**
 * Keeps compiled code between starts, which halves the time a person waits for a command.
 *
 * In the person's own cache folder and never in the shared /tmp, where somebody
 * else could have put code for us to run. Where it cannot be written, nothing is kept.
 */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Only modules imported after this are kept. */
export function useCompileCache(env: Record<string, string | undefined>): void {
  const base = env['XDG_CACHE_HOME']
  // The XDG base directory specification has relative paths ignored.
  const caches = base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache')
  enableCompileCache(join(caches, 'podgate', 'compile'))
}

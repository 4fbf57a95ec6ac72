/** Opens a page in the person's browser, where there is one to be seen. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

type Env = Record<string, string | undefined>

interface Opener {
  command: string
  args: string[]
}

function isWsl(): boolean {
  try {
    return /microsoft/i.test(readFileSync('/proc/version', 'utf8'))
  } catch {
    return false
  }
}

/**
 * The program that opens `url`; undefined where nobody would see a browser, such as over SSH.
 * `BROWSER` is what people set to say otherwise (xdg-open honours it too); `none` says that there is none.
 */
export function browserFor(url: string, env: Env, platform: NodeJS.Platform): Opener | undefined {
  const chosen = env['BROWSER']
  if (chosen === 'none') return undefined
  if (chosen !== undefined && chosen !== '') return { command: chosen, args: [url] }
  // On these two a screen is always there, and may be at the other end of the line.
  const isRemote = [env['SSH_CONNECTION'], env['SSH_TTY']].some((name) => (name ?? '') !== '')
  if (isRemote && (platform === 'darwin' || platform === 'win32')) return undefined
  if (platform === 'darwin') return { command: 'open', args: [url] }
  if (platform === 'win32')
    return { command: 'rundll32', args: ['url.dll,FileProtocolHandler', url] }
  const hasScreen = [env['DISPLAY'], env['WAYLAND_DISPLAY']].some((name) => (name ?? '') !== '')
  if (hasScreen) return { command: 'xdg-open', args: [url] }
  // The browser of Windows, from inside WSL (int128/kubelogin#942).
  return isWsl()
    ? { command: 'rundll32.exe', args: ['url.dll,FileProtocolHandler', url] }
    : undefined
}

/** True when the program was started; what becomes of it is not waited for. */
export async function openBrowser({ command, args }: Opener): Promise<boolean> {
  return await new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true })
    child.once('error', () => resolve(false))
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}

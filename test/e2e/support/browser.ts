/**
 * A real browser without a screen (Debian's Chromium), for one test: a profile of its own that is
 * gone afterwards, no way out but the loopback interface, and one authority that it trusts beside
 * the public ones, as a person would add it. Certificates are checked; nothing is ignored.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { type Browser, launch, type Page } from 'puppeteer-core'

import {
  BROWSER_PACKAGES,
  missingPackages,
  missingPackagesMessage,
} from '../../../lib/cluster/debian-packages.ts'

/** Debian's /usr/bin/chromium is a script that adds switches of its own. */
const PROGRAM = '/usr/lib/chromium/chromium'
const LAUNCH_TIMEOUT_MS = 60_000
const CLOSE_TIMEOUT_MS = 10_000

export interface TestBrowser {
  /** Where everything of it is, until close(). */
  readonly home: string
  /** With cookies of its own: each page is another person's browser. */
  page(): Promise<Page>
  screenshot(page: Page, file: string): Promise<void>
  close(): Promise<void>
}

export interface BrowserOptions {
  /** PEM of the authority to trust. */
  authority: string
  /** For every wait of a page. */
  timeoutMs?: number
}

export async function openBrowser(options: BrowserOptions): Promise<TestBrowser> {
  const missing = missingPackages(BROWSER_PACKAGES, existsSync)
  if (missing.length > 0)
    throw new Error(missingPackagesMessage(missing, 'The browser of the tests'))
  const home = await mkdtemp(join(tmpdir(), 'podgate-browser-'))
  const removeHome = (): Promise<void> => rm(home, { recursive: true, force: true, maxRetries: 5 })
  try {
    await trust(home, options.authority)
    const browser = await start(home)
    return {
      home,
      page: async () => {
        const context = await browser.createBrowserContext()
        const page = await context.newPage()
        page.setDefaultTimeout(options.timeoutMs ?? 15_000)
        await page.setViewport({ width: 900, height: 700 })
        return page
      },
      screenshot: async (page, file) => {
        await writeFile(file, await page.screenshot({ type: 'png' }))
      },
      close: async () => {
        await end(browser)
        await removeHome()
      },
    }
  } catch (error) {
    await removeHome()
    throw error
  }
}

/** Chromium for Linux reads the authorities a person trusts from the NSS database in their home. */
async function trust(home: string, authority: string): Promise<void> {
  const database = join(home, '.pki', 'nssdb')
  const file = join(home, 'authority.pem')
  await mkdir(database, { recursive: true, mode: 0o700 })
  await writeFile(file, authority)
  const certutil = promisify(execFile)
  const options = { timeout: 20_000 }
  await certutil('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'], options)
  const add = ['-A', '-d', `sql:${database}`, '-n', 'test', '-t', 'C,,', '-i', file]
  await certutil('certutil', add, options)
}

function start(home: string): Promise<Browser> {
  return launch({
    executablePath: PROGRAM,
    headless: true,
    // Chromium ends with the pipe, so also when this process is killed.
    pipe: true,
    userDataDir: join(home, 'profile'),
    env: { HOME: home, TMPDIR: home, PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' },
    timeout: LAUNCH_TIMEOUT_MS,
    protocolTimeout: LAUNCH_TIMEOUT_MS,
    args: [
      // Names and addresses alike; what a test does not start does not exist.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
      '--no-proxy-server',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-crash-reporter',
      '--disable-dev-shm-usage',
      '--disable-gpu',
      '--disable-sync',
      '--no-first-run',
      // Its sandbox does not start as root; the pages are our own.
      ...(userInfo().uid === 0 ? ['--no-sandbox'] : []),
    ],
  })
}

async function end(browser: Browser): Promise<void> {
  const child = browser.process()
  const ended = new Promise<void>((resolve) => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
  const timer = setTimeout(() => child?.kill('SIGKILL'), CLOSE_TIMEOUT_MS)
  await browser.close().catch(() => child?.kill('SIGKILL'))
  await ended
  clearTimeout(timer)
}

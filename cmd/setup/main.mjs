/**
 * Runs before `npm start` and `npm test`, on the Node that this machine happens
 * to have (20 or newer) and with nothing installed: installs the npm packages
 * when they are missing or not those of package-lock.json. Otherwise it is done
 * in some milliseconds.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OLDEST_NODE = 20
const WANTED_NODE = 24

/** Says what was installed last; `npm ci` removes it together with the folder. */
const STAMP = '.podgate-installed'

export function isInstalled(project) {
  const modules = join(project, 'node_modules')
  const lock = readText(join(project, 'package-lock.json'))
  if (lock === undefined || !existsSync(modules)) return false
  if (readText(join(modules, STAMP)) === digestOf(lock)) return true
  if (!matchesHiddenLock(lock, readText(join(modules, '.package-lock.json')))) return false
  if (!existsSync(join(modules, '.bin', 'node')) && major(process.version) < WANTED_NODE)
    return false
  stamp(project)
  return true
}

function stamp(project) {
  const lock = readFileSync(join(project, 'package-lock.json'), 'utf8')
  writeFileSync(join(project, 'node_modules', STAMP), digestOf(lock))
}

function digestOf(text) {
  return createHash('sha256').update(text).digest('hex')
}

/** npm keeps a list of what it installed: so a plain `npm install` by hand counts, too. */
function matchesHiddenLock(lock, hidden) {
  if (hidden === undefined) return false
  const installed = JSON.parse(hidden).packages ?? {}
  return Object.entries(JSON.parse(lock).packages ?? {}).every(
    ([path, wanted]) =>
      path === '' ||
      installed[path]?.version === wanted.version ||
      // Packages for other platforms stay away.
      (installed[path] === undefined && wanted.optional === true),
  )
}

function install(project) {
  const startedAt = Date.now()
  console.log('Installing the npm packages (first run, or they changed; one to two minutes) ...')
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error']
  let result = npm(project, ['ci', ...quiet])
  // A lock made behind a registry that lacks other platforms' packages lacks them as well, and
  // `npm ci` refuses it. --no-save installs the locked versions and leaves the lock as it is.
  if (result.stderr?.includes('EUSAGE')) result = npm(project, ['install', '--no-save', ...quiet])
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`)
    fail('The npm packages could not be installed; see above. Is the npm registry reachable?')
  }
  console.log(`Installed the npm packages in ${Math.round((Date.now() - startedAt) / 1000)} s.`)
}

/**
 * The package `node` fetches its program by an install script, which npm may
 * have been told to skip, or may skip by itself. Then it is run here.
 */
function ensureNode(project) {
  const modules = join(project, 'node_modules')
  if (runsWantedNode(join(modules, '.bin', 'node'))) return
  const folder = join(modules, 'node')
  if (existsSync(join(folder, 'installArchSpecificPackage.js'))) {
    console.log(`Installing Node ${WANTED_NODE} for this project (a few seconds) ...`)
    // It calls npm itself; what this npm says about the project would lead that one astray.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
    )
    spawnSync(process.execPath, ['installArchSpecificPackage.js'], {
      cwd: folder,
      env,
      stdio: 'pipe',
    })
    linkNode(modules)
  }
  if (runsWantedNode(join(modules, '.bin', 'node'))) return
  if (major(process.version) >= WANTED_NODE) return
  fail(
    `Podgate runs on Node ${WANTED_NODE}, this is ${process.version}, and Node ${WANTED_NODE} could not be ` +
      `installed by npm either. Install Node ${WANTED_NODE} (https://nodejs.org), then try again.`,
  )
}

/** npm links only programs that are there when the package is unpacked. */
function linkNode(modules) {
  const link = join(modules, '.bin', 'node')
  mkdirSync(dirname(link), { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(join('..', 'node', 'bin', 'node'), link)
}

/** Only asked after an installation: starting a Node takes longer than all the rest here. */
function runsWantedNode(program) {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8', env: {} })
  return status === 0 && major(stdout) >= WANTED_NODE
}

function major(version) {
  return Number(/^v(\d+)/.exec(version)?.[1] ?? 0)
}

/** The npm that runs this script, else the one on the PATH. */
function npm(cwd, args) {
  const script = process.env.npm_execpath
  const [command, ...first] =
    script !== undefined && /\.c?js$/.test(script) ? [process.execPath, script] : ['npm']
  return spawnSync(command, [...first, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
}

function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

const self = fileURLToPath(import.meta.url)
if (process.argv[1] === self) {
  const project = dirname(dirname(dirname(self)))
  if (major(process.version) < OLDEST_NODE) {
    fail(`Podgate needs Node ${OLDEST_NODE} or newer to begin with; this is ${process.version}.`)
  }
  if (!isInstalled(project)) {
    install(project)
    ensureNode(project)
    stamp(project)
  }
}

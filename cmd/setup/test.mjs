// `npm test`: everything, in order of cost. Ends with "N passed, N failed".
// Each step counts as one check; jest steps count their tests instead.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const bin = join(root, 'node_modules', '.bin')
const reports = mkdtempSync(join(tmpdir(), 'podgate-test-'))
const env = {
  ...process.env,
  PATH: `${bin}:${process.env.PATH}`,
  NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
}

/** A leaked handle keeps jest alive for ever; that is a failure, not a wait. */
const STEP_MINUTES = 40

const jest = (name, args) => ({
  name,
  command: ['jest', ...args, '--json', `--outputFile=${join(reports, `${name}.json`)}`],
  jest: true,
})
/** Jest would leave one core of two idle; most of these tests wait for sockets. */
const PARALLEL = ['--maxWorkers=2']

const STEPS = [
  { name: 'format', command: ['prettier', '--check', '--log-level=warn', '.'] },
  { name: 'lint', command: ['oxlint', '--deny-warnings', '--quiet'] },
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'generated', command: ['node', 'cmd/setup/generate.ts', '--check'] },
  jest('unit', ['test/unit', 'test/conformance', 'test/house', 'test/fuzz', ...PARALLEL]),
  { name: 'build', command: ['node', 'cmd/setup/build-cluster.ts'], for: ['integration', 'e2e'] },
  jest('integration', ['test/integration', ...PARALLEL]),
  { name: 'fuzz', command: ['node', 'test/fuzz/main.ts', '--seconds', '8'] },
  jest('e2e', ['--config', 'jest.e2e.config.json', '--runInBand']),
]

function run([program, ...args], plain) {
  const child = spawn(join(bin, program), args, {
    cwd: root,
    stdio: 'inherit',
    env: plain ? { ...env, NODE_OPTIONS: '' } : env,
  })
  return new Promise((resolve) => {
    const overdue = setTimeout(() => {
      console.error(`${program} did not end within ${STEP_MINUTES} minutes`)
      child.kill('SIGKILL')
    }, STEP_MINUTES * 60_000)
    child.on('exit', () => clearTimeout(overdue))
    child.on('error', (error) => {
      console.error(`${program}: ${error.message}`)
      resolve(1)
    })
    child.on('exit', (code, signal) => resolve(signal === null ? code : 1))
  })
}

function jestCounts(name, code) {
  try {
    const report = JSON.parse(readFileSync(join(reports, `${name}.json`), 'utf8'))
    const brokenFiles = report.numRuntimeErrorTestSuites
    const failed = report.numFailedTests + brokenFiles
    return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed }
  } catch {
    return { passed: 0, failed: 1 }
  }
}

const only = process.argv.slice(2)

/** A step runs when it is named, or when another needs it. */
function isWanted({ name, for: others = [] }) {
  return only.length === 0 || [name, ...others].some((wanted) => only.includes(wanted))
}

let passed = 0
let failed = 0
const lines = []
try {
  for (const step of STEPS) {
    if (!isWanted(step)) continue
    console.log(`\n== ${step.name}`)
    const startedAt = Date.now()
    const code = await run(step.command, !step.jest)
    const count = step.jest
      ? jestCounts(step.name, code)
      : { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 }
    passed += count.passed
    failed += count.failed
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1)
    lines.push(
      `${step.name.padEnd(12)} ${String(count.passed).padStart(5)} passed ${String(count.failed).padStart(3)} failed  ${seconds} s`,
    )
    if (step.for !== undefined && code !== 0) {
      lines.push(`not run, since ${step.name} failed: ${step.for.join(', ')}`)
      break
    }
  }
} finally {
  rmSync(reports, { recursive: true, force: true })
}
console.log(`\n${lines.join('\n')}\n`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

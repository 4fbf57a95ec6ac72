/** `podgate sandbox`: brings everything up on this machine and stays until it is told to end. */
import { parseArgs } from 'node:util'

import { createProgress } from '../../lib/cluster/progress.ts'
import { errorText } from '../../lib/errors/gateway-error.ts'
import { startSandbox, type Sandbox } from '../../lib/sandbox/sandbox.ts'
import { folderOf, stopSandbox } from '../../lib/sandbox/sandbox-folder.ts'
import { tellStory } from '../../lib/sandbox/story.ts'

const USAGE = `Usage: podgate sandbox [--context NAME] [--name NAME] [--dir DIR]
       podgate sandbox --stop [--name NAME] [--dir DIR]

  --context NAME  use this context of your kubeconfig, in place of a cluster made for the sandbox
  --name NAME     a second sandbox beside the first
  --dir DIR       where its files are kept (default .podgate)
  --stop          end the sandbox that runs there
`

interface Options {
  context: string | undefined
  name: string | undefined
  dir: string
  stop: boolean
}

export async function sandboxCommand(args: string[]): Promise<number> {
  let options: Options | undefined
  try {
    options = parseOptions(args)
  } catch (error) {
    process.stderr.write(`podgate sandbox: ${errorText(error)}\n\n${USAGE}`)
    return 2
  }
  if (options === undefined) {
    process.stdout.write(USAGE)
    return 0
  }
  try {
    return options.stop ? await stop(options) : await run(options)
  } catch (error) {
    process.stderr.write(`podgate sandbox: ${errorText(error)}\n`)
    return 1
  }
}

function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      context: { type: 'string' },
      name: { type: 'string' },
      dir: { type: 'string', default: '.podgate' },
      stop: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return undefined
  const { context, name, dir } = values
  if (name !== undefined && !/^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/u.test(name)) {
    throw new Error('--name takes small letters, digits and dashes, at most 32')
  }
  return { context, name, dir, stop: values.stop }
}

async function stop(options: Options): Promise<number> {
  const folder = folderOf(options.dir, options.name)
  const stopped = await stopSandbox(folder)
  process.stdout.write(stopped ? 'The sandbox has ended.\n' : `No sandbox runs in ${folder}.\n`)
  return 0
}

async function run(options: Options): Promise<number> {
  const signals = listenForSignals()
  let sandbox: Sandbox
  try {
    sandbox = await startSandbox({
      context: options.context,
      name: options.name,
      dir: options.dir,
      progress: createProgress(process.stderr),
      signal: signals.signal,
      onError: (message) => process.stderr.write(`podgate sandbox: ${message}\n`),
    })
  } catch (error) {
    if (!signals.signal.aborted) throw error
    process.stderr.write('The sandbox was not started.\n')
    return 130
  } finally {
    signals.hasStarted()
  }
  process.stdout.write(tellStory(sandbox.json, sandbox.folder))
  await signals.whenAsked
  process.stderr.write('Ending the sandbox.\n')
  await sandbox.close()
  return 0
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const START_GRACE_MS = 10_000

/**
 * The first signal asks for an orderly end. While things are being started, some of them cannot be
 * interrupted; then, after a moment or at the second signal, the process leaves, and the clean-up
 * that every exit runs does the rest.
 */
function listenForSignals(): {
  signal: AbortSignal
  whenAsked: Promise<void>
  hasStarted(): void
} {
  const controller = new AbortController()
  let isStarting = true
  const whenAsked = new Promise<void>((resolve) => {
    const onSignal = (): void => {
      if (controller.signal.aborted) process.exit(130)
      controller.abort(new Error('asked to end'))
      resolve()
      if (isStarting) setTimeout(() => isStarting && process.exit(130), START_GRACE_MS).unref()
    }
    for (const signal of SIGNALS) process.on(signal, onSignal)
  })
  return {
    signal: controller.signal,
    whenAsked,
    hasStarted: () => {
      isStarting = false
    },
  }
}

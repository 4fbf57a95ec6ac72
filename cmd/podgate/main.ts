#!/usr/bin/env node
/** `podgate`: picks the command and turns its outcome into an exit code. */
import { readFileSync } from 'node:fs'

import { restartWithHeapFlags } from './heap-flags.ts'

const USAGE = `podgate: a gateway for kubectl exec and attach

Usage:
  podgate serve --config FILE     run the gateway
  podgate sandbox [--stop]        run everything on this machine, to try it
  podgate version

Exit codes: 0 done, 1 failed, 2 wrong usage.
`

function version(): string {
  const file = new URL(
    import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json',
    import.meta.url,
  )
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed
    ? String(parsed.version)
    : 'unknown'
}

async function main([command, ...args]: string[]): Promise<number> {
  switch (command) {
    case 'serve': {
      restartWithHeapFlags()
      const { serveCommand } = await import('./serve.ts')
      return await serveCommand(args, version())
    }
    case 'sandbox': {
      const { sandboxCommand } = await import('./sandbox.ts')
      return await sandboxCommand(args)
    }
    case 'version':
    case '--version':
      process.stdout.write(`podgate ${version()}\n`)
      return 0
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(USAGE)
      return command === undefined ? 2 : 0
    default:
      process.stderr.write(`podgate: unknown command ${JSON.stringify(command)}\n\n${USAGE}`)
      return 2
  }
}

process.exitCode = await main(process.argv.slice(2))

/** `podgate serve --config FILE`: runs the gateway until SIGTERM or SIGINT. */
import { parseArgs } from 'node:util'

import { loadGatewayConfig } from '../../lib/config/gateway-config.ts'
import { errorText } from '../../lib/errors/gateway-error.ts'
import { createLogger } from '../../lib/telemetry/logger.ts'
import { startGateway } from './compose.ts'

const USAGE = `Usage: podgate serve --config FILE

Fields of the file: docs/reference/configuration.md
`

function readArgs(args: string[]): { config?: string; help: boolean } {
  const { values } = parseArgs({
    args,
    options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  })
  return {
    ...(values.config === undefined ? {} : { config: values.config }),
    help: values.help === true,
  }
}

async function untilSignal(): Promise<NodeJS.Signals> {
  return await new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
}

export async function serveCommand(args: string[], version: string): Promise<number> {
  let options: ReturnType<typeof readArgs>
  try {
    options = readArgs(args)
  } catch (error) {
    process.stderr.write(`podgate serve: ${errorText(error)}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    process.stdout.write(USAGE)
    return 0
  }
  if (options.config === undefined) {
    process.stderr.write(`podgate serve: --config is missing\n\n${USAGE}`)
    return 2
  }
  try {
    const config = await loadGatewayConfig(options.config)
    const log = createLogger(config.logLevel)
    const gateway = await startGateway(config, version, log)
    log.info({ url: gateway.url, cluster: config.cluster.name }, 'serving')
    const signal = await untilSignal()
    log.info({ signal }, 'shutting down')
    await gateway.close()
    return 0
  } catch (error) {
    process.stderr.write(`podgate serve: ${errorText(error)}\n`)
    return 1
  }
}

/**
 * Keeps a program running, as systemd would: controllers leave on purpose when
 * the API server is away for too long and count on being started again.
 */
import type { Instance } from './instance.ts'
import { type Program, type ProgramOptions, startProgram } from './processes.ts'

const RESTART_AFTER_MS = 500

export function superviseProgram(instance: Instance, options: ProgramOptions): Program {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let current = launch()
  return {
    name: options.name,
    get identity() {
      return current.identity
    },
    logFile: current.logFile,
    get ended() {
      return stopped ? current.ended : undefined
    },
    whenEnded: current.whenEnded,
    async stop(graceMs) {
      stopped = true
      clearTimeout(timer)
      await current.stop(graceMs)
    },
  }

  function launch(): Program {
    const program = startProgram(instance, options)
    void program.whenEnded.then(() => {
      if (stopped) return
      timer = setTimeout(() => {
        if (stopped) return
        void program.stop()
        current = launch()
      }, RESTART_AFTER_MS)
      timer.unref()
    })
    return program
  }
}

/**
 * How V8 keeps memory, for the gateway.
 *
 * The bytes of a stream live for milliseconds, outside V8's heap; what counts is when they are let
 * go, and how often the whole heap is marked meanwhile (docs/performance.md has the figures).
 *
 * - New objects get 4 MB. V8 would let their space grow to 16 MB, which the few small objects
 *   around the bytes do not fill, so that bytes pile up beside it. Much smaller, and bytes that
 *   wait for a slow store would be taken for old ones.
 * - The heap may double before it is marked. V8 counts the bytes outside as growth, and by itself
 *   would allow so little of it that one bulk session had the heap marked three times a second.
 */
const FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=100']

/** V8 takes both spellings, `a-b` and `a_b`. */
function nameOf(option: string): string {
  return option.split('=', 1).join().replaceAll('_', '-')
}

/** What the operator has not chosen. */
function missing(): string[] {
  const given = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/u)]
  const chosen = new Set(given.map(nameOf))
  return FLAGS.filter((flag) => !chosen.has(nameOf(flag)))
}

/**
 * V8 reads flags before any of our code runs, so the process replaces itself by one that has them:
 * the same process id, environment and standard streams. Returns where that is done already, was
 * chosen by the operator, or is not possible.
 */
export function restartWithHeapFlags(): void {
  const flags = missing()
  if (flags.length === 0 || process.execve === undefined) return
  const args = [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)]
  process.execve(process.execPath, args)
}

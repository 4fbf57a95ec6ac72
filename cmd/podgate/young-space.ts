/**
 * The size of the space that V8 makes new objects in, for the gateway.
 *
 * The bytes of a stream live for milliseconds, and a collection of the young space frees them. V8
 * would let that space grow to 16 MB, which the few small objects around the bytes do not fill, so
 * that bytes pile up beside it until the whole heap is marked: half of the CPU time of a bulk
 * session, and 100 MB (docs/performance.md). Much smaller, and bytes that wait for a slow store
 * would be taken for old ones.
 */
const FLAG = '--max-semi-space-size'
const MEBIBYTES = 4

function isChosen(): boolean {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? '']
  // V8 takes both spellings.
  return options.some((option) => option.replaceAll('_', '-').includes(FLAG.slice(2)))
}

/**
 * V8 reads the flag before any of our code runs, so the process replaces itself by one that has it:
 * the same process id, environment and standard streams. Returns where that is done already, was
 * chosen by the operator, or is not possible.
 */
export function restartWithSmallYoungSpace(): void {
  if (isChosen() || process.execve === undefined) return
  const args = [process.execPath, `${FLAG}=${MEBIBYTES}`, ...process.execArgv]
  process.execve(process.execPath, [...args, ...process.argv.slice(1)])
}

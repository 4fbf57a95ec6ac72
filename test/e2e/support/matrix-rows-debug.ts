/** kubectl debug and kubectl run: containers that are made for one terminal. */
import { answering, type Leg, type Outcome, type Row } from './matrix-legs.ts'
import { outcomeOf } from './matrix-rows-exec.ts'

/** Its debug containers stay with a pod as long as it lives, so it is not one of the others. */
const DEBUGGED = 'debugged-0'

/** It asks until it is answered: what is said before somebody has attached is heard by nobody. */
const ASK = 'until read -t 1 a; do echo ready; done; echo "got $a"; exit 3'

async function ask(leg: Leg, args: readonly string[]): Promise<Outcome> {
  const result = await leg.terminal(
    [...args, '--', 'sh', '-c', ASK],
    answering(['ready\r\n', 'this\n']),
  )
  const stdout = result.stdout
    // How often it asked is a matter of time, and so is the hint.
    .replaceAll('ready\r\n', '')
    .replaceAll(/If you don't see a command prompt, try pressing enter\.\r?\n/g, '')
  return { ...outcomeOf(result), stdout }
}

/** 1.20 speaks of debug containers in words that the API server has forgotten. */
const KNOWS_DEBUG = ['1.27', '1.29', '1.31', '1.34', '1.35']

export const DEBUG_ROWS: readonly Row[] = [
  {
    name: 'debug -it beside the processes of a container',
    run: async (leg) =>
      await ask(leg, ['debug', '-it', DEBUGGED, `--image=${leg.image}`, '--target=main']),
    direct: { stdout: /got this/ },
    versions: KNOWS_DEBUG,
  },
  {
    name: 'debug -it by a kubectl that is too old for it',
    run: async (leg) =>
      await ask(leg, ['debug', '-it', DEBUGGED, `--image=${leg.image}`, '--target=main']),
    direct: { code: 1, stdout: /no kind "EphemeralContainers" is registered/ },
    versions: ['1.20'],
    hasSession: 'varies',
  },
  {
    name: 'debug -it in a copy of the pod',
    run: async (leg) => {
      const copy = [`--image=${leg.image}`, `--copy-to=${leg.id}`, '--container=mine']
      return await ask(leg, ['debug', '-it', DEBUGGED, ...copy])
    },
    direct: { stdout: /got this/ },
    wire: 'WebSocket',
  },
  {
    name: 'run -it --rm',
    run: async (leg) => {
      const flags = ['-it', '--rm', '--restart=Never', `--image=${leg.image}`, '--command']
      return await ask(leg, ['run', leg.id, ...flags])
    },
    direct: { code: 3, stdout: /got this/ },
    wire: 'SPDY',
  },
]

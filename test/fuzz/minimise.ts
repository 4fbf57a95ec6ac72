/** Makes a crashing input smaller as long as it crashes in the same words. */
import type { Crash } from './campaign.ts'

const MAX_ATTEMPTS = 600

export async function minimise(
  crash: Crash,
  failureOf: (input: Uint8Array) => Promise<string | undefined>,
): Promise<Crash> {
  let best = crash
  let attempts = 0
  for (let span = Math.ceil(crash.input.length / 2); span >= 1; span = Math.floor(span / 2)) {
    for (let at = 0; at + span <= best.input.length && attempts < MAX_ATTEMPTS; attempts++) {
      const { input } = best
      const smaller = Buffer.concat([input.subarray(0, at), input.subarray(at + span)])
      const message = await failureOf(smaller)
      if (message !== undefined && kindOf(message) === kindOf(crash.message))
        best = { input: smaller, message }
      else at += span
    }
  }
  return best
}

/** The first line, without the numbers and quoted parts that differ from input to input. */
function kindOf(message: string): string {
  return (message.split('\n')[0] ?? '').replace(/"[^"]*"|\d+/g, '…')
}

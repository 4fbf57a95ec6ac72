/**
 * Tells the echo of a person's own typing from other output. PURE.
 *
 * The masker holds back bytes that may become a match ("ana" could be the start
 * of an e-mail address), which would delay every echoed key. What somebody has
 * just typed is no news to that person, so an output chunk that repeats it may
 * go at once. Each typed byte excuses one echoed byte, once.
 */
const MAX_REMEMBERED = 256
const MAX_ECHO_BYTES = 64

export interface EchoWatch {
  /** Bytes the person sent. */
  typed(data: Uint8Array): void
  /** True when `output` is the echo of what was typed; uses those bytes up. */
  isEcho(output: Uint8Array): boolean
}

function indexOf(haystack: readonly number[], needle: Uint8Array): number {
  const last = haystack.length - needle.length
  for (let start = 0; start <= last; start += 1) {
    let length = 0
    while (length < needle.length && haystack[start + length] === needle[length]) length += 1
    if (length === needle.length) return start
  }
  return -1
}

export function createEchoWatch(): EchoWatch {
  let pending: number[] = []
  return {
    typed(data) {
      if (data.length >= MAX_REMEMBERED) pending = []
      // A paste or an upload is not typing, and remembering it would cost time per chunk.
      else pending = [...pending, ...data].slice(-MAX_REMEMBERED)
    },
    isEcho(output) {
      if (pending.length === 0 || output.length === 0 || output.length > MAX_ECHO_BYTES)
        return false
      const at = indexOf(pending, output)
      if (at === -1) return false
      pending = pending.slice(at + output.length)
      return true
    },
  }
}

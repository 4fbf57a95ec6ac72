/** Names out of an archive are a stranger's text: shown so that a terminal and a log stay safe. */
const MAX_SHOWN = 160

/** Controls, C1, zero-width, bidirectional marks and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u

const SPECIAL = /["\\]/

function escaped(character: string): string {
  if (character === '\n') return String.raw`\n`
  if (SPECIAL.test(character)) return `\\${character}`
  if (!UNSAFE.test(character)) return character
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

/** As many as fit into half of what is shown. */
function half(pieces: readonly string[]): number {
  let length = 0
  const end = pieces.findIndex((piece) => (length += piece.length) > MAX_SHOWN / 2)
  return end < 0 ? pieces.length : end
}

/** `"/data/a.txt"`; a long one loses its middle, since both ends tell something. */
export function quotePath(path: string): string {
  const pieces = Array.from(path, escaped)
  const whole = pieces.join('')
  if (whole.length <= MAX_SHOWN) return `"${whole}"`
  const first = half(pieces)
  const last = half(pieces.toReversed())
  return `"${pieces.slice(0, first).join('')}…${pieces.slice(-last).join('')}"`
}

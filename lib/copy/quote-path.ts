/** Names out of an archive are a stranger's text: shown so that a terminal and a log stay safe. */
const MAX_SHOWN = 160

/** Controls, C1, zero-width, bidirectional marks and line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

function escaped(character: string): string {
  if (character === '\n') return String.raw`\n`
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

/** `"/data/a.txt"`; a long one loses its middle, since both ends tell something. */
export function quotePath(path: string): string {
  const characters = Array.from(path)
  const half = MAX_SHOWN / 2
  const shown =
    characters.length <= MAX_SHOWN
      ? path
      : `${characters.slice(0, half).join('')}…${characters.slice(-half).join('')}`
  return `"${shown.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll(UNSAFE, escaped)}"`
}

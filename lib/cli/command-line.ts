/**
 * A command as a person could type it, in which nothing can act or hide. PURE.
 */
import { escapeText, hasUnsafeCharacters } from '../streams/sanitize-terminal.ts'

/** A word that every shell takes as it is. */
const PLAIN_WORD = /^[A-Za-z0-9_@%+=:,./-]+$/

/** A command as it could be typed: one can see where each argument begins and ends. */
export function commandLine(command: readonly string[]): string {
  return command.map(quoteWord).join(' ')
}

function quoteWord(word: string): string {
  if (PLAIN_WORD.test(word)) return word
  // $'...' says that what follows is escaped, as a shell's own listings do.
  return hasUnsafeCharacters(word)
    ? `$'${escapeText(word.replace(/[\\']/g, String.raw`\$&`))}'`
    : `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * The automaton of the shapes as tables, two bytes a step.
 *
 *   entry at [state << 8 | symbol of the second byte << 4 | symbol of the first]:
 *
 *   bit 31                  a shape was recognised at the first byte or the second
 *   bits 30..8              the state after both
 *
 * Each step waits for the load of the one before, so half as many steps take half the time. Of the
 * states the minimal ones are kept (Moore), which leaves a megabyte of table, of which text touches
 * a few kilobytes.
 */
import { SYMBOL_OF, type ShapeStates, shapeStates } from './shapes.ts'

/** The automaton must have seen 48 bytes before its first verdict (an escape sequence and a word). */
const WARM_UP_WORDS = 24
const SYMBOLS = 16
const STATE_BITS = 0x7fffff00
const RECOGNISED = 0x80000000

export interface ShapeTable {
  readonly steps: Int32Array
  readonly start: number
}

/** The symbols of the two bytes that make up a word, whichever of them this machine reads first. */
const SYMBOLS_OF_WORD: Uint8Array = symbolsOfWords()

function symbolsOfWords(): Uint8Array {
  const word = new Uint16Array(1)
  const bytes = new Uint8Array(word.buffer)
  return Uint8Array.from({ length: 2 ** 16 }, (_, value) => {
    word[0] = value
    return ((SYMBOL_OF[bytes[1] ?? 0] ?? 0) << 4) | (SYMBOL_OF[bytes[0] ?? 0] ?? 0)
  })
}

/** At most one table per set of detectors: building one takes tens of milliseconds. */
const built = new Map<string, ShapeTable>()

export function shapeTableOf(detectors: readonly string[]): ShapeTable {
  const key = detectors.join()
  const known = built.get(key) ?? pairUp(shapeStates(detectors))
  built.set(key, known)
  return known
}

function pairUp(states: ShapeStates): ShapeTable {
  const kept = minimalStates(states)
  const count = Math.max(...kept) + 1
  const next = new Int32Array(count * SYMBOLS)
  const recognises = new Int32Array(count)
  for (const [state, row] of states.arrows.entries()) {
    const at = kept[state] ?? 0
    if (states.recognises[state] === true) recognises[at] = RECOGNISED
    for (const [symbol, to] of row.entries()) next[at * SYMBOLS + symbol] = kept[to] ?? 0
  }
  const steps = new Int32Array(count * SYMBOLS * SYMBOLS)
  for (let at = 0; at < steps.length; at += 1) {
    const middle = next[(at >> 8) * SYMBOLS + (at & 15)] ?? 0
    const end = next[middle * SYMBOLS + ((at >> 4) & 15)] ?? 0
    steps[at] = (end << 8) | (recognises[middle] ?? 0) | (recognises[end] ?? 0)
  }
  return { steps, start: (kept[0] ?? 0) << 8 }
}

/** By state, the number of its class: states that no input tells apart. */
function minimalStates({ arrows, recognises }: ShapeStates): number[] {
  let classes = recognises.map(Number)
  for (let before = 0; ;) {
    const numbers = new Map<string, number>()
    const refined = arrows.map((row, state) => {
      const key = [classes[state], ...row.map((to) => classes[to])].join()
      const number = numbers.get(key) ?? numbers.size
      numbers.set(key, number)
      return number
    })
    if (numbers.size === before) return refined
    before = numbers.size
    classes = refined
  }
}

/**
 * Runs the automaton over two lanes of `half` words, from the word at `from` on. A stop is its word
 * in the first lane times four, plus 1 if the first lane recognised a shape in it, plus 2 if the
 * second did. Gives their number; `stops` must have room for `half`.
 */
export function runLanes(
  table: ShapeTable,
  stops: Int32Array,
  words: Uint16Array,
  from: number,
  half: number,
): number {
  const { steps } = table
  const symbols = SYMBOLS_OF_WORD
  const end = from + half
  let one = warmUp(table, words, from)
  let two = warmUp(table, words, end)
  let count = 0
  for (let i = from; i < end; i += 1) {
    one = steps[(one & STATE_BITS) | (symbols[words[i] ?? 0] ?? 0)] ?? 0
    two = steps[(two & STATE_BITS) | (symbols[words[i + half] ?? 0] ?? 0)] ?? 0
    if ((one | two) < 0) {
      stops[count] = i * 4 + (one < 0 ? 1 : 0) + (two < 0 ? 2 : 0)
      count += 1
    }
  }
  return count
}

/** The automaton's state before the word at `at`. */
function warmUp({ steps, start }: ShapeTable, words: Uint16Array, at: number): number {
  let state = start
  for (let i = Math.max(0, at - WARM_UP_WORDS); i < at; i += 1) {
    state = steps[(state & STATE_BITS) | (SYMBOLS_OF_WORD[words[i] ?? 0] ?? 0)] ?? 0
  }
  return state
}

/**
 * Patterns for paths: `*` is any run of characters within a segment, `?` exactly one, `**` any run
 * across segments. `/data/**` is `/data` and everything below. Nothing else is special.
 *
 * A pattern is run as an automaton, all its places at once: the time is pattern times path at most,
 * whatever the two are.
 */
const SLASH = 0x2f

/** Negative tokens are special, others are code points. */
const ONE = -1
const STAR = -2
const DEEP = -3
/** `**` with a slash after it: no segment, or whole ones. The second of the two is within them. */
const SEGMENTS = -4
const IN_SEGMENTS = -5
/** The end may be here, though a slash would have to follow: the folder that a final `**` is about. */
const FOLDER = -6

export type PathGlob = readonly number[]

export function compilePathGlob(pattern: string): PathGlob {
  const tokens: number[] = []
  const text = Array.from(pattern, (character) => character.codePointAt(0) ?? 0)
  for (let at = 0; at < text.length; at += 1) {
    const code = text[at] ?? 0
    const opensSegment = at === 0 || text[at - 1] === SLASH
    if (code === 0x3f) tokens.push(ONE)
    else if (code !== 0x2a) tokens.push(code)
    else if (text[at + 1] !== 0x2a) tokens.push(STAR)
    else {
      while (text[at + 1] === 0x2a) at += 1
      if (opensSegment && text[at + 1] === SLASH) {
        tokens.push(SEGMENTS, IN_SEGMENTS)
        at += 1
      } else if (opensSegment && at === text.length - 1 && isFolderBefore(tokens)) {
        tokens.splice(-1, 1, FOLDER, SLASH, DEEP)
      } else tokens.push(DEEP)
    }
  }
  return tokens
}

/** Is there a slash with something before it? */
function isFolderBefore(tokens: readonly number[]): boolean {
  return tokens.length > 1 && tokens.at(-1) === SLASH
}

/** `path` is absolute and normal. */
export function matchesPath(glob: PathGlob, path: string): boolean {
  const places = placesAfter(glob, path)
  return places[glob.length] === 1 || places.some((at, k) => at === 1 && glob[k] === FOLDER)
}

/** May a path below the folder match? */
export function mayMatchBelow(glob: PathGlob, folder: string): boolean {
  const places = placesAfter(glob, folder === '/' ? '/' : `${folder}/`)
  return places.some((at, k) => at === 1 && k < glob.length)
}

/** Where in the pattern one may be after the whole text: 1 at each such place. */
function placesAfter(glob: PathGlob, text: string): Uint8Array {
  let now: Uint8Array = new Uint8Array(glob.length + 1)
  let next: Uint8Array = new Uint8Array(glob.length + 1)
  arrive(glob, now, 0)
  for (const character of text) {
    step(glob, now, next, character.codePointAt(0) ?? 0)
    const used = now
    now = next
    next = used.fill(0)
  }
  return now
}

function step(glob: PathGlob, now: Uint8Array, next: Uint8Array, code: number): void {
  for (let k = 0; k < glob.length; k += 1) {
    if (now[k] === 0) continue
    const token = glob[k] ?? 0
    if (token === code || (token === ONE && code !== SLASH)) arrive(glob, next, k + 1)
    else if (token === DEEP || (token === STAR && code !== SLASH)) arrive(glob, next, k)
    else if (token === SEGMENTS && code !== SLASH) next[k + 1] = 1
    else if (token === IN_SEGMENTS) {
      if (code === SLASH) arrive(glob, next, k + 1)
      next[k] = 1
    }
  }
}

/** Enters a place, and those reached from it by matching nothing. */
function arrive(glob: PathGlob, places: Uint8Array, at: number): void {
  for (let k = at; places[k] === 0;) {
    places[k] = 1
    const token = glob[k]
    if (token === SEGMENTS) k += 2
    else if (token === STAR || token === DEEP || token === FOLDER) k += 1
    else return
  }
}

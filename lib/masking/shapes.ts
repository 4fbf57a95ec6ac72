/**
 * What a match must look like, for the fast path (shape-table.ts): one automaton runs over every
 * byte and stops only where a match may be under way.
 *
 * Each detector has necessary shapes, such as `1.2.3.4` for an IPv4 address; a timestamp, a UUID, a
 * version or a latency has none of them. The automaton is the subset construction over all shapes,
 * so its cost is the same whatever is enabled. It decides nothing: where it stops, the detectors
 * look at the bytes themselves.
 */

/** A shape is recognised at most this many bytes after the trigger its detector starts from. */
export const SHAPE_DEPTH = 24

/** Symbols: what the automaton sees of a byte. */
const SYMBOLS = [
  'ZERO',
  'NONZERO',
  'HEX_LETTER',
  'ESCAPE_LETTER',
  'OTHER_LETTER',
  'DOT',
  'DASH',
  'SPACE',
  'SLASH',
  'COLON',
  'AT',
  'PLUS',
  'CLOSE',
  'ESC',
  'BACKSLASH',
  'OTHER',
] as const
type SymbolName = (typeof SYMBOLS)[number]
const ANY = 2 ** SYMBOLS.length - 1

function set(...names: SymbolName[]): number {
  return names.reduce((bits, name) => bits | (1 << SYMBOLS.indexOf(name)), 0)
}

const Z = set('ZERO')
const N = set('NONZERO')
const D = Z | N
const L = set('HEX_LETTER', 'ESCAPE_LETTER', 'OTHER_LETTER')
const W = D | L
const H = D | set('HEX_LETTER')
const SPACE_OR_DASH = set('SPACE', 'DASH')
const DASH_OR_DOT = set('DASH', 'DOT')
const PAIR_GAP = set('SPACE', 'DASH', 'DOT')
/** Between groups of a phone number; `(` is among OTHER. */
const GAP = set('SPACE', 'DASH', 'DOT', 'SLASH', 'CLOSE', 'OTHER')

/** [symbols, fewest, most] */
type Step = readonly [number, number, number]

interface Shape {
  /** Only where no letter or digit stands before, or an escape sequence does. */
  readonly word: boolean
  readonly steps: readonly Step[]
}

function one(symbols: number): Step {
  return [symbols, 1, 1]
}

const OCTET_DOT: readonly Step[] = [[D, 1, 3], one(set('DOT'))]
const GROUP_COLON: readonly Step[] = [[H, 1, 4], one(set('COLON'))]

/** By detector name. A match of the detector always contains one of its shapes. */
const SHAPES: Readonly<Record<string, readonly Shape[]>> = {
  Email: [{ word: false, steps: [one(set('AT'))] }],
  CreditCard: [
    { word: true, steps: [[D, 13, 13]] },
    { word: true, steps: [[D, 4, 4], one(SPACE_OR_DASH), [D, 4, 4]] },
    { word: true, steps: [[D, 6, 6], one(SPACE_OR_DASH), [D, 4, 4]] },
  ],
  Iban: [
    {
      word: true,
      steps: [
        [L, 2, 2],
        [D, 2, 2],
        [SPACE_OR_DASH, 0, 1],
        [W, 4, 4],
      ],
    },
  ],
  IpAddress: [
    {
      word: true,
      steps: [...OCTET_DOT, ...OCTET_DOT, ...OCTET_DOT, one(D)],
    },
    { word: false, steps: [[set('COLON'), 2, 2]] },
    { word: false, steps: [...GROUP_COLON, ...GROUP_COLON, ...GROUP_COLON] },
  ],
  Phone: [
    { word: false, steps: [one(set('PLUS')), one(N)] },
    {
      word: true,
      steps: [
        [Z, 2, 2],
        [D, 6, 6],
      ],
    },
    { word: true, steps: [[Z, 2, 2], one(N), [D, 0, 5], [GAP | Z, 1, 5], one(D)] },
    { word: true, steps: [[Z, 2, 2], one(SPACE_OR_DASH), one(N), [GAP | Z, 0, 5], one(D)] },
    {
      word: true,
      steps: [one(Z), one(N), one(PAIR_GAP), [D, 2, 2], one(PAIR_GAP), [D, 2, 2], one(PAIR_GAP)],
    },
    {
      word: true,
      steps: [one(Z), one(N), one(SPACE_OR_DASH), [D, 4, 4], one(SPACE_OR_DASH), one(D)],
    },
    { word: true, steps: [one(Z), one(N), [D, 1, 4], [GAP | Z, 1, 5], [D, 2, 2]] },
    { word: true, steps: [[D, 3, 3], one(DASH_OR_DOT), [D, 3, 3], one(DASH_OR_DOT), one(D)] },
    { word: true, steps: [[D, 3, 3], one(set('CLOSE')), [set('SPACE'), 0, 1], [D, 3, 3]] },
  ],
}

function symbolOf(byte: number): SymbolName {
  if (byte === 0x30) return 'ZERO'
  if (byte > 0x30 && byte <= 0x39) return 'NONZERO'
  if (byte === 0x1b) return 'ESC'
  const text = String.fromCharCode(byte).toLowerCase()
  if (byte < 0x80 && text >= 'a' && text <= 'f') return 'HEX_LETTER'
  if (byte < 0x80 && 'nrtux'.includes(text)) return 'ESCAPE_LETTER'
  if (byte < 0x80 && text >= 'a' && text <= 'z') return 'OTHER_LETTER'
  const at = '.- /:@+)\\'.indexOf(text)
  const names = [
    'DOT',
    'DASH',
    'SPACE',
    'SLASH',
    'COLON',
    'AT',
    'PLUS',
    'CLOSE',
    'BACKSLASH',
  ] as const
  return names[at] ?? 'OTHER'
}

/** By byte. */
export const SYMBOL_OF: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  SYMBOLS.indexOf(symbolOf(byte)),
)

/** One place in a shape: which symbols lead on from it, and where to. */
interface Place {
  readonly symbols: number
  readonly to: number
}

/** The shapes as a nondeterministic automaton. Place 0 begins words, 1 is always, 2 follows ESC. */
class Shapes {
  readonly places: Place[][] = [[], [{ symbols: ANY, to: 1 }], []]
  readonly final: number

  constructor(shapes: readonly Shape[]) {
    this.final = this.place()
    this.edge(1, ANY & ~W, 0)
    // After an escape every letter may be its last, so a word may begin after each, until a space.
    const backslash = this.place()
    this.edge(1, set('ESC'), 2)
    this.edge(1, set('BACKSLASH'), backslash)
    this.edge(backslash, set('HEX_LETTER', 'ESCAPE_LETTER'), 2)
    this.edge(backslash, set('HEX_LETTER', 'ESCAPE_LETTER'), 0)
    this.edge(2, ANY & ~set('SPACE'), 2)
    this.edge(2, L, 0)
    for (const { word, steps } of shapes) this.add(word ? 0 : 1, steps)
  }

  private place(): number {
    return this.places.push([]) - 1
  }

  private edge(from: number, symbols: number, to: number): void {
    this.places[from]?.push({ symbols, to })
  }

  private add(start: number, steps: readonly Step[]): void {
    let open = [start]
    for (const [k, [symbols, fewest, most]] of steps.entries()) {
      const after: number[] = fewest === 0 ? [...open] : []
      for (let count = 1; count <= most; count += 1) {
        const last = k === steps.length - 1 && count === most
        const to = last ? this.final : this.place()
        for (const from of open) this.edge(from, symbols, to)
        open = [to]
        if (count >= fewest) after.push(to)
      }
      open = after
    }
  }

  follow(state: readonly number[], symbol: number): number[] {
    const bit = 1 << symbol
    const next = new Set<number>()
    for (const from of state) {
      for (const { symbols, to } of this.places[from] ?? []) if ((symbols & bit) !== 0) next.add(to)
    }
    return [...next].sort((left, right) => left - right)
  }
}

/** The deterministic automaton for these detectors, as the subset construction gives it. */
export interface ShapeStates {
  /** Next state at [state][symbol]; the first state is the start of a stream. */
  readonly arrows: readonly (readonly number[])[]
  /** Whether the state has just recognised a shape. */
  readonly recognises: readonly boolean[]
}

export function shapeStates(detectors: Iterable<string>): ShapeStates {
  const shapes = new Shapes([...detectors].flatMap((name) => SHAPES[name] ?? []))
  const numbers = new Map<string, number>()
  const states: number[][] = []
  const arrows: number[][] = []
  const number = (state: number[]): number => {
    const key = state.join()
    const known = numbers.get(key)
    if (known !== undefined) return known
    numbers.set(key, states.length)
    return states.push(state) - 1
  }
  number([0, 1, 2])
  for (let k = 0; k < states.length; k += 1) {
    const state = states[k] ?? []
    arrows.push(SYMBOLS.map((_, symbol) => number(shapes.follow(state, symbol))))
  }
  return { arrows, recognises: states.map((state) => state.includes(shapes.final)) }
}

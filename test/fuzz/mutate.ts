/** Small wounds to inputs that got somewhere: what AFL calls havoc and splice. */
import type { Random } from './random.ts'

/** Ends of ranges, where off-by-one lives. */
const EDGES = [0, 1, 2, 7, 8, 10, 13, 32, 37, 46, 47, 63, 127, 128, 129, 254, 255] as const
const WORDS = [0, 1, 0x7f, 0x80, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as const
const MAX_WOUNDS = 6
const MAX_SPAN = 64

type Wound = (input: Buffer, at: number, random: Random, other: Uint8Array) => Buffer

const WOUNDS: readonly Wound[] = [
  function flipBit(input, at, random) {
    return replaced(input, at, [(input[at] ?? 0) ^ (1 << random.below(8))])
  },
  function setEdge(input, at, random) {
    return replaced(input, at, [random.pick(EDGES) ?? 0])
  },
  function addOrSubtract(input, at, random) {
    return replaced(input, at, [(input[at] ?? 0) + random.below(9) - 4])
  },
  function setWord(input, at, random) {
    const word = Buffer.alloc(4)
    word.writeUInt32BE(random.pick(WORDS) ?? 0)
    return replaced(input, at, word.subarray(random.below(3)))
  },
  function remove(input, at, random) {
    return Buffer.concat([input.subarray(0, at), input.subarray(at + 1 + random.below(MAX_SPAN))])
  },
  function truncate(input, at) {
    return input.subarray(0, at)
  },
  function repeat(input, at, random) {
    const span = input.subarray(at, at + 1 + random.below(MAX_SPAN))
    return Buffer.concat([input.subarray(0, at), span, input.subarray(at)])
  },
  function insertNoise(input, at, random) {
    const noise = Uint8Array.from({ length: 1 + random.below(8) }, () => random.below(256))
    return Buffer.concat([input.subarray(0, at), noise, input.subarray(at)])
  },
  function splice(input, at, random, other) {
    const from = random.below(other.length)
    return Buffer.concat([input.subarray(0, at), other.subarray(from)])
  },
  function insertOther(input, at, random, other) {
    const from = random.below(other.length)
    const span = other.subarray(from, from + 1 + random.below(MAX_SPAN))
    return Buffer.concat([input.subarray(0, at), span, input.subarray(at)])
  },
]

function replaced(input: Buffer, at: number, bytes: ArrayLike<number>): Buffer {
  const copy = Buffer.from(input)
  copy.set(Uint8Array.from(bytes).subarray(0, copy.length - at), at)
  return copy
}

/** `other` gives what is spliced in; `input` stays as it is. */
export function mutate(
  input: Uint8Array,
  other: Uint8Array,
  random: Random,
  maxBytes: number,
): Uint8Array {
  let mutant: Buffer = Buffer.from(input)
  for (let wounds = 1 + random.below(MAX_WOUNDS); wounds > 0; wounds--) {
    const wound = random.pick(WOUNDS)
    if (wound !== undefined) mutant = wound(mutant, random.below(mutant.length), random, other)
  }
  return mutant.subarray(0, maxBytes)
}

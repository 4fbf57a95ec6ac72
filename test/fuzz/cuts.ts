/** Ways to cut an input; a reader of a stream must not be able to tell them apart. */
import { Random, seedOf } from './random.ts'

const BYTE_BY_BYTE_UP_TO = 1024
const LARGEST_PIECE = [3, 40, 700]

/** The whole input is not among them. The same input gives the same cuts. */
export function cutsOf(input: Uint8Array): Uint8Array[][] {
  const random = new Random(seedOf(input))
  const cuts = LARGEST_PIECE.map((largest) => slices(input, () => 1 + random.below(largest)))
  return input.length <= BYTE_BY_BYTE_UP_TO ? [slices(input, () => 1), ...cuts] : cuts
}

function slices(input: Uint8Array, length: () => number): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let at = 0; at < input.length;) {
    const piece = input.subarray(at, at + length())
    pieces.push(piece)
    at += piece.length
  }
  return pieces
}

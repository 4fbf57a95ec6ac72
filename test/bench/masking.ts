/**
 * Speed of the masker: `node test/bench/masking.ts [MiB]`. Each row is the best of three runs over
 * the same bytes; "copy" is what moving the bytes alone costs.
 */
import { randomFillSync } from 'node:crypto'

import { type CompiledMaskRules, compileMaskRules, createMasker } from '../../lib/masking/masker.ts'
import { logText } from '../fixtures/log-text.ts'

const DETECTORS = ['Email', 'Phone', 'CreditCard', 'Iban', 'IpAddress']
const SIZES = [32 * 1024, 64, 1]
const RUNS = 3

const mebibytes = Number(process.argv[2] ?? 64)

function randomBytes(bytes: number): Uint8Array {
  const out = new Uint8Array(bytes)
  randomFillSync(out)
  return out
}

function best(bytes: number, run: () => void): string {
  let fastest = Infinity
  for (let i = 0; i < RUNS; i += 1) {
    const start = performance.now()
    run()
    fastest = Math.min(fastest, performance.now() - start)
  }
  return `${(bytes / 1e3 / fastest).toFixed(0).padStart(6)} MB/s`
}

function mask(rules: CompiledMaskRules, input: Uint8Array, size: number): number {
  const masker = createMasker(rules)
  let out = 0
  for (let at = 0; at < input.length; at += size) {
    for (const piece of masker.push(input.subarray(at, at + size))) out += piece.length
  }
  for (const piece of masker.end()) out += piece.length
  return out
}

function copy(input: Uint8Array, size: number): void {
  for (let at = 0; at < input.length; at += size) input.slice(at, at + size)
}

const detectors = compileMaskRules({ detectors: DETECTORS, patterns: [], mode: 'Redact' })
const patterns = compileMaskRules({
  detectors: DETECTORS,
  patterns: [
    { name: 'customer', pattern: 'CUST-[0-9]{6}' },
    { name: 'ticket', pattern: '\\bINC-[0-9]+\\b' },
  ],
  mode: 'Redact',
})

for (const [name, make] of [
  ['log text, personal data in 1 % of lines', (n: number) => logText(n, 1)],
  ['random bytes', randomBytes],
] as const) {
  process.stdout.write(`${name}\n`)
  for (const size of SIZES) {
    const bytes = Math.ceil((size < 64 ? mebibytes / 8 : mebibytes) * 2 ** 20)
    const input = make(bytes)
    const row = [
      `  ${String(size).padStart(6)} B chunks`,
      `copy ${best(bytes, () => copy(input, size))}`,
      `5 detectors ${best(bytes, () => mask(detectors, input, size))}`,
      `and 2 patterns ${best(bytes, () => mask(patterns, input, size))}`,
    ]
    process.stdout.write(`${row.join('   ')}\n`)
  }
}

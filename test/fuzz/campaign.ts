/** The search itself: replays what is known, then changes what led to new code, until its time is over. */
import * as fc from 'fast-check'

import type { Coverage } from './coverage.ts'
import { minimise } from './minimise.ts'
import { mutate } from './mutate.ts'
import type { TargetReport } from './run-target.ts'
import type { Random } from './random.ts'
import type { Target } from './target.ts'

export interface Crash {
  input: Uint8Array
  message: string
}

export interface Campaign {
  target: Pick<Target, 'check' | 'inputs' | 'maxBytes'>
  corpus: readonly Uint8Array[]
  random: Random
  coverage: Coverage
  isOver(): boolean
  /** Called before each input: if it never ends, the watcher knows which one it was. */
  onInput(input: Uint8Array): void
}

/** A reading of the coverage costs as much as many inputs, and later ones build on what it says. */
const MAX_BATCH = 256
const BATCH_MS = 100
/** Old ones go first: those found last stand deepest in the code. */
const MAX_POOL = 2000
const FRESH_INPUTS = 32

export async function runCampaign(campaign: Campaign): Promise<TargetReport> {
  const { target, random, coverage } = campaign
  const pool: Uint8Array[] = [...campaign.corpus]
  const result: TargetReport = { inputs: 0, interesting: [], crash: undefined }

  async function failureOf(input: Uint8Array): Promise<string | undefined> {
    result.inputs += 1
    campaign.onInput(input)
    try {
      await target.check(input)
      return undefined
    } catch (error) {
      return textOf(error)
    }
  }

  async function survives(input: Uint8Array): Promise<boolean> {
    const message = await failureOf(input)
    if (message === undefined) return true
    result.crash = await minimise({ input, message }, failureOf)
    return false
  }

  /** Every fourth input is new; the rest are mutants. */
  let fresh: Uint8Array[] = []
  function nextInput(): Uint8Array {
    if (fresh.length === 0)
      fresh = fc.sample(target.inputs, { seed: random.uint32(), numRuns: FRESH_INPUTS })
    const isMutant = pool.length > 0 && random.below(4) > 0
    const base = (isMutant ? random.pick(pool) : fresh.pop()) ?? Buffer.alloc(0)
    if (!isMutant) return base.subarray(0, target.maxBytes)
    return mutate(base, random.pick(pool) ?? base, random, target.maxBytes)
  }

  /** Undefined: one of it crashed. */
  async function runBatch(): Promise<Uint8Array[] | undefined> {
    const batch: Uint8Array[] = []
    const until = performance.now() + BATCH_MS
    while (batch.length < MAX_BATCH && performance.now() < until) {
      const input = nextInput()
      if (!(await survives(input))) return undefined
      batch.push(input)
    }
    return batch
  }

  /** The whole batch is known to have run new code; one by one, against what was known before it. */
  async function whoRanNewCode(batch: readonly Uint8Array[]): Promise<Uint8Array[]> {
    coverage.forgetLast()
    const found: Uint8Array[] = []
    for (const input of batch) {
      await failureOf(input)
      if (coverage.grew()) found.push(input)
    }
    return found
  }

  for (const input of campaign.corpus) if (!(await survives(input))) return result
  coverage.grew()
  while (!campaign.isOver()) {
    const batch = await runBatch()
    if (batch === undefined) return result
    if (coverage.grew()) {
      const found = await whoRanNewCode(batch)
      result.interesting.push(...found)
      pool.push(...found)
      if (pool.length > MAX_POOL) pool.splice(0, pool.length - MAX_POOL)
    }
  }
  return result
}

function textOf(error: unknown): string {
  return error instanceof Error || (typeof error === 'object' && error !== null && 'stack' in error)
    ? String(error.stack)
    : String(error)
}

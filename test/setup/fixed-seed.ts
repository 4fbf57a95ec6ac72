/**
 * Property tests draw the same cases each time, so that a red run can be run again. Others are drawn
 * with PODGATE_FUZZ_SEED=<number>; fast-check prints the seed of a failure.
 */
import fc from 'fast-check'

const SEED = 20_261_122

fc.configureGlobal({ seed: Number(process.env['PODGATE_FUZZ_SEED'] ?? SEED) })

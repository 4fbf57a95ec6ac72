/** What a policy lets `kubectl cp` move, after all matching policies were merged. */
export interface CopyRules {
  directions: ('Download' | 'Upload')[]
  /** Every set must match: globs on the absolute path inside the container. No set: any path. */
  pathSets: string[][]
  /** Of file contents, per copy; undefined: no limit. */
  maxBytes: number | undefined
  /** Text files are masked on the way out. */
  maskText: boolean
}

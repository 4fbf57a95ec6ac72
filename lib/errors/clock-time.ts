/** A moment in words of refusals and tables. PURE. */

/** `2026-11-23 13:11 UTC` */
export function clockTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

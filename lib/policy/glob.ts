/**
 * Shell-like patterns for names: `*` is any run of characters, `?` exactly one. Nothing else is
 * special.
 */

/**
 * Keeps one point to return to, the last `*`: earlier ones never need to take more than they did,
 * so the time is bound by pattern times text and no pattern is expensive.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let star = -1
  let starText = 0
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++
      starText = t
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++starText
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

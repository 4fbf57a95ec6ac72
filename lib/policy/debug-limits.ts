/** What a policy has against a debug container, in words: `capability NET_ADMIN is not …`. */
import type { DebugFacts } from '../api/debug-facts.ts'
import type { DebugLimits } from './compile-limits.ts'
import { clipped, listed } from './deny-message.ts'
import { matchesGlob } from './glob.ts'

export function debugObjection(
  limits: DebugLimits,
  facts: DebugFacts | undefined,
): string | undefined {
  if (facts === undefined) return 'nobody can tell what would be added'
  const { capabilities, privileged, images: all = [facts.image] } = facts
  const isKnown = (one: string): boolean => limits.images.some((glob) => matchesGlob(glob, one))
  const image = limits.images.length > 0 ? all.find((one) => !isKnown(one)) : undefined
  if (image !== undefined) {
    const images = listed(limits.images.map(clipped))
    return `image ${clipped(image)} is not among ${images} (spec.debug.images); use one of those`
  }
  if (privileged && !limits.privileged) {
    return (
      'it is privileged or shares something with the node, and spec.debug.privileged is not ' +
      'true; use --profile=general'
    )
  }
  const isAllowed = (name: string): boolean =>
    limits.capabilities.includes('ALL') || limits.capabilities.includes(name)
  const extra = capabilities.find((name) => !isAllowed(name))
  if (extra === undefined) return undefined
  const allowed = limits.capabilities.length === 0 ? 'none' : listed(limits.capabilities)
  return (
    `capability ${clipped(extra)} is not among those allowed: ${allowed} ` +
    '(spec.debug.capabilities); use another --profile'
  )
}

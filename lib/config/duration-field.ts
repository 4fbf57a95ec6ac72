/** A duration such as `30s` in a configuration, as ms. */
import { z } from 'zod'

import { parseDuration } from '../policy/duration.ts'

export type DurationField = z.ZodPipe<z.ZodDefault<z.ZodString>, z.ZodTransform<number, string>>

export function duration(fallback: string, least: string, most: string): DurationField {
  const [min = 0, max = 0] = [least, most].map(parseDuration)
  return z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms >= min && ms <= max) return ms
      context.addIssue({
        code: 'custom',
        message: `must be a duration between ${least} and ${most}, such as ${fallback}`,
      })
      return z.NEVER
    })
}

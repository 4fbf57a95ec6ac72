/**
 * Reading documents that others wrote, without trusting their shape.
 */

import { isObject, type JsonObject } from '../api/json-object.ts'

export { isObject, type JsonObject }

/** The value at the end of `path`, or undefined where the path breaks off. */
export function valueAt(value: unknown, ...path: string[]): unknown {
  let current = value
  for (const key of path) {
    if (!isObject(current) || !Object.hasOwn(current, key)) return undefined
    current = current[key]
  }
  return current
}

/** Like `valueAt`; undefined unless the value is a non-empty string. */
export function textAt(value: unknown, ...path: string[]): string | undefined {
  const found = valueAt(value, ...path)
  return typeof found === 'string' && found !== '' ? found : undefined
}

export function numberAt(value: unknown, ...path: string[]): number | undefined {
  const found = valueAt(value, ...path)
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined
}

export function booleanAt(value: unknown, ...path: string[]): boolean {
  return valueAt(value, ...path) === true
}

/** The array at the end of `path`; empty where there is none. */
export function listAt(value: unknown, ...path: string[]): unknown[] {
  const found = valueAt(value, ...path)
  return Array.isArray(found) ? found : []
}

/** The strings of the array at the end of `path`. */
export function textsAt(value: unknown, ...path: string[]): string[] {
  return listAt(value, ...path).filter((item) => typeof item === 'string')
}

/** Milliseconds since 1970 of an RFC 3339 time, or undefined. */
export function timeAt(value: unknown, ...path: string[]): number | undefined {
  const text = textAt(value, ...path)
  if (text === undefined) return undefined
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}

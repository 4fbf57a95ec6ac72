/**
 * Columns as kubectl prints them: capitals, three spaces between, no frames.
 */

const GAP = '   '

/** `rows` hold as many cells as `headers`; an empty cell reads `<none>`. */
export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [headers, ...rows.map((row) => row.map((cell) => (cell === '' ? '<none>' : cell)))]
  const widths = headers.map((_, column) =>
    Math.max(...lines.map((line) => displayWidth(line[column] ?? ''))),
  )
  return lines.map((line) => formatLine(line, widths)).join('')
}

function formatLine(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, column) => pad(cell, widths[column] ?? 0))
    .join(GAP)
    .trimEnd()}\n`
}

function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)))
}

/** Code points, which is right for the names of Kubernetes and near enough for people's. */
function displayWidth(text: string): number {
  return Array.from(text).length
}

/** Cuts to `width` code points; the dots say that there is more. */
export function truncate(text: string, width: number): string {
  const points = Array.from(text)
  return points.length <= width ? text : `${points.slice(0, width - 3).join('')}...`
}

/** `Label:  value` lines with the values in one column, as `kubectl describe`. */
export function formatFields(fields: readonly (readonly [string, string])[]): string {
  const width = Math.max(...fields.map(([label]) => label.length)) + 1
  return fields.map(([label, value]) => `${`${label}:`.padEnd(width)}  ${value}\n`).join('')
}

/** The figures as a table, and what is demanded of them in words. */
import { writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, totalmem } from 'node:os'

import type { Bar, Findings, Series } from './measurement.ts'
import { median, summarize } from './statistics.ts'

const HEAD = ['part', 'what', 'by', 'unit', 'n', 'min', 'p50', 'p99', '/ direct', '/ proxy']
const FIRST_NUMBER = 4

function figure(value: number): string {
  if (!Number.isFinite(value)) return ''
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}

function row(series: Series, all: readonly Series[]): string[] {
  const { samples, min, p50, p99 } = summarize(series.samples)
  const against = (by: Series['by']): string => {
    const other = all.find(
      (candidate) =>
        candidate.part === series.part && candidate.what === series.what && candidate.by === by,
    )
    return other === undefined || other === series ? '' : figure(p50 / median(other.samples))
  }
  return [
    series.part,
    series.what,
    series.by,
    series.unit,
    String(samples),
    ...[min, p50, p99].map(figure),
    against('direct'),
    against('kubectl proxy'),
  ]
}

export function table(all: readonly Series[]): string {
  const rows = [HEAD, ...all.map((series) => row(series, all))]
  const widths = HEAD.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  )
  return rows
    .map((cells) =>
      cells
        .map((cell, column) =>
          column < FIRST_NUMBER
            ? cell.padEnd(widths[column] ?? 0)
            : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function verdict({ text, value, unit, bound, limit, passed }: Bar): string {
  return `${passed ? 'pass' : 'FAIL'}  ${text}: ${value.toFixed(2)} ${unit} (${bound} ${limit} ${unit})`
}

export function machine(): { processor: string; cores: number; memoryGiB: number; node: string } {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  }
}

export async function writeJson(file: string, findings: Findings, rounds: number): Promise<void> {
  const series = findings.series.map((one) => ({ ...one, ...summarize(one.samples) }))
  const document = {
    at: new Date().toISOString(),
    machine: machine(),
    rounds,
    series: series.map(({ samples: _count, ...rest }, index) => ({
      ...rest,
      samples: findings.series[index]?.samples ?? [],
    })),
    bars: findings.bars,
  }
  await writeFile(file, `${JSON.stringify(document, null, 2)}\n`)
}

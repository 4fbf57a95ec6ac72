/**
 * The forms a result is printed in: `-o json|yaml|name|wide`, or for people.
 */
import { styleText } from 'node:util'

import { escapeJsonText, hasUnsafeCharacters } from '../streams/sanitize-terminal.ts'
import { CliError, ExitCode } from './cli-error.ts'
import type { CliIo, CliOutput } from './io.ts'

export const OUTPUT_FORMATS = ['json', 'yaml', 'name', 'wide'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number] | 'text'

export function parseOutputFormat<F extends OutputFormat>(
  value: string | undefined,
  allowed: readonly F[],
): F | 'text' {
  if (value === undefined) return 'text'
  const found = allowed.find((format) => format === value)
  if (found !== undefined) return found
  throw new CliError(
    ExitCode.Usage,
    `-o ${value}: unknown output format; use ${allowed.join(', ')}`,
  )
}

/** One document; nothing in it can act on a terminal, and parsers read the same values. */
export async function formatDocument(document: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${escapeJsonText(JSON.stringify(document, null, 4))}\n`
  const { Document, visit } = await import('yaml')
  const yaml = new Document(document)
  visit(yaml, {
    Scalar(_key, node) {
      // Only a double-quoted YAML scalar has escapes, and there they are those of JSON.
      if (typeof node.value === 'string' && hasUnsafeCharacters(node.value)) {
        node.type = 'QUOTE_DOUBLE'
      }
    },
  })
  return escapeJsonText(yaml.toString({ lineWidth: 0, doubleQuotedAsJSON: true }))
}

export type Colour = 'red' | 'green' | 'yellow' | 'bold'

/** Colour only for a terminal that wants it (https://no-color.org). */
export function colour(io: CliIo, stream: CliOutput, style: Colour, text: string): string {
  const noColor = io.env['NO_COLOR']
  const wanted =
    stream.isTTY === true && (noColor === undefined || noColor === '') && io.env['TERM'] !== 'dumb'
  return wanted ? styleText(style, text, { validateStream: false }) : text
}

/** Resolves when the stream can take more, so that a slow reader slows us down. */
export function writeOut(stream: CliOutput, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}

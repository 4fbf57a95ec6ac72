import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from '@jest/globals'

const MODULE = fileURLToPath(new URL('../../../lib/telemetry/logger.ts', import.meta.url))

/** The log goes to stdout, so it is looked at from outside. */
function linesOf(level: string, code: string): Record<string, unknown>[] {
  const script = `import { createLogger } from ${JSON.stringify(MODULE)}
    const log = createLogger(${JSON.stringify(level)})
    ${code}`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: {},
  })
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('the log', () => {
  it('has one line of JSON per event, with level and time as words', () => {
    const [line, ...more] = linesOf(
      'info',
      "log.info({ session: 's-1' }, 'two\\nlines \\u001b[31m')",
    )
    expect(more).toEqual([])
    expect(line).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      component: 'podgate',
      session: 's-1',
      message: 'two\nlines \u001b[31m',
    })
  })

  it('leaves out what is below its level', () => {
    const lines = linesOf('warn', "log.info('no'); log.debug('no'); log.warn('yes')")
    expect(lines.map(({ message }) => message)).toEqual(['yes'])
  })

  it('shows no secrets, also not one level down and in a child', () => {
    const secret = 'canary-value'
    const lines = linesOf(
      'debug',
      `const it = ${JSON.stringify(secret)}
      const all = { authorization: it, token: it, idToken: it, refreshToken: it, password: it, cookie: it, uri: it }
      log.info(all, 'direct')
      log.info({ request: all }, 'nested')
      log.child({ who: 'ana' }).warn({ headers: all }, 'child')`,
    )
    expect(lines).toHaveLength(3)
    expect(JSON.stringify(lines)).not.toContain(secret)
    expect(JSON.stringify(lines).match(/\[redacted\]/g)).toHaveLength(21)
  })
})

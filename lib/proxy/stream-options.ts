/**
 * The query of an exec or attach request. PURE.
 *
 * Names and meaning: k8s.io/api core/v1 PodExecOptions. What the gateway sends
 * upstream is rebuilt from this, never copied from the client's query: the API
 * server takes the first of two contradicting values, another parser the last.
 */
import { GatewayError } from '../errors/gateway-error.ts'
import type { StreamSet } from '../streams/channel.ts'

export interface StreamOptions extends StreamSet {
  container: string | undefined
  command: string[]
}

const MAX_COMMAND_WORDS = 1024
const FLAGS = ['stdin', 'stdout', 'stderr', 'tty'] as const

function flag(query: URLSearchParams, name: string): boolean {
  const values = query.getAll(name)
  if (values.length > 1) {
    throw new GatewayError(
      'BadRequest',
      `the parameter ${name} is given ${values.length} times; give it once`,
      { id: 1011 },
    )
  }
  // As the API server reads them (runtime.Convert_Slice_string_To_bool): the Python client says `True`.
  const value = values[0]?.toLowerCase()
  if (value === undefined || value === '' || value === 'false' || value === '0') return false
  if (value === 'true' || value === '1') return true
  throw new GatewayError('BadRequest', `the parameter ${name} must be true or false`, { id: 1011 })
}

export function parseStreamOptions(operation: 'Exec' | 'Attach', rawQuery: string): StreamOptions {
  const query = new URLSearchParams(rawQuery)
  const [stdin, stdout, stderr, tty] = FLAGS.map((name) => flag(query, name))
  const containers = query.getAll('container').filter((name) => name !== '')
  if (new Set(containers).size > 1) {
    throw new GatewayError('BadRequest', 'two different containers are named; name one', {
      id: 1011,
    })
  }
  const command = query.getAll('command')
  if (operation === 'Exec' && command.length === 0) {
    throw new GatewayError(
      'BadRequest',
      'you must specify at least one command for the container',
      { id: 1011 },
    )
  }
  if (operation === 'Attach' && command.length > 0) {
    throw new GatewayError('BadRequest', 'attach takes no command; use exec to run one', {
      id: 1011,
    })
  }
  if (command.length > MAX_COMMAND_WORDS) {
    throw new GatewayError('BadRequest', `a command may have ${MAX_COMMAND_WORDS} words at most`, {
      id: 1011,
    })
  }
  if (stdin !== true && stdout !== true && stderr !== true) {
    throw new GatewayError('BadRequest', 'you must specify at least 1 of stdin, stdout, stderr', {
      id: 1011,
    })
  }
  return {
    stdin: stdin === true,
    stdout: stdout === true,
    // A terminal has one output; the API server drops stderr silently then.
    stderr: stderr === true && tty !== true,
    tty: tty === true,
    container: containers[0],
    command,
  }
}

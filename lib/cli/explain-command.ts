/** `kubectl podgate explain`: what one may, by which policy, and under which demands. */
import { escapeText } from '../streams/sanitize-terminal.ts'
import { parseFlags, usageError } from './args.ts'
import { ExitCode } from './cli-error.ts'
import type { CliIo } from './io.ts'
import { booleanAt, textAt } from './json-value.ts'
import { formatDocument, parseOutputFormat, writeOut } from './output.ts'
import { withConnection } from './run-command.ts'

const COMMAND = 'kubectl podgate explain'

interface Right {
  verb: string
  resource: string
  subresource: string
}

/** What people type, and the right that Kubernetes has for it. */
const RIGHTS: Readonly<Record<string, Right>> = {
  exec: { verb: 'create', resource: 'pods', subresource: 'exec' },
  attach: { verb: 'create', resource: 'pods', subresource: 'attach' },
  'port-forward': { verb: 'create', resource: 'pods', subresource: 'portforward' },
  logs: { verb: 'get', resource: 'pods', subresource: 'log' },
  debug: { verb: 'patch', resource: 'pods', subresource: 'ephemeralcontainers' },
}

const EXPLAINED = Object.keys(RIGHTS).join(', ')

/** Undefined: the person asked for help. */
export async function runExplain(
  args: readonly string[],
  io: CliIo,
): Promise<ExitCode | undefined> {
  const flags = parseFlags(COMMAND, args, { output: { type: 'string', short: 'o' } })
  if (flags.has('help')) return undefined
  const [word = '', pod = '', ...more] = flags.positionals
  const right = Object.hasOwn(RIGHTS, word) ? RIGHTS[word] : undefined
  if (right === undefined || more.length > 0) {
    throw usageError(COMMAND, `needs one of ${EXPLAINED}, and perhaps a pod`)
  }
  const format = parseOutputFormat(flags.text('output'), ['json', 'yaml'])
  return await withConnection(flags.connection, io, async ({ client, context }) => {
    const name = pod.replace(/^(?:po|pods?)\//, '')
    const review = await client.json({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { ...right, namespace: context.namespace, name } },
      },
    })
    const allowed = booleanAt(review, 'status', 'allowed')
    const reason = escapeText(textAt(review, 'status', 'reason') ?? 'your rights in the cluster')
    const words = `${allowed ? 'yes' : 'no'} - ${reason}\n`
    await writeOut(io.stdout, format === 'text' ? words : await formatDocument(review, format))
    return allowed ? ExitCode.Done : ExitCode.Error
  })
}

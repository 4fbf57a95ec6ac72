/**
 * `kubectl podgate`: finds the command that was meant. Each is loaded only when it is asked for.
 */
import { escapeText } from '../streams/sanitize-terminal.ts'
import { usageError } from './args.ts'
import { ExitCode } from './cli-error.ts'
import type { CliIo } from './io.ts'
import { writeOut } from './output.ts'
import { runCommand } from './run-command.ts'
import { VERSION } from './version.ts'

export async function runPodgate(args: readonly string[], io: CliIo): Promise<number> {
  const [command, ...rest] = args
  if (command === 'credential') {
    const { runCredential } = await import('./credential.ts')
    return runCredential(rest, io)
  }
  return runCommand(io, async () => {
    switch (command) {
      case 'sessions': {
        const { runSessions } = await import('./sessions/command.ts')
        return (await runSessions(rest, io)) ?? help(io, SESSIONS_USAGE)
      }
      case 'replay': {
        const { runReplay } = await import('./sessions/command.ts')
        return (await runReplay(rest, io)) ?? help(io, REPLAY_USAGE)
      }
      case 'version':
        return help(io, `podgate ${VERSION}\n`)
      case undefined:
      case 'help':
      case '-h':
      case '--help':
        return help(io, PODGATE_USAGE)
      default:
        throw usageError('kubectl podgate', `unknown command "${escapeText(command)}"`)
    }
  })
}

async function help(io: CliIo, text: string): Promise<ExitCode> {
  await writeOut(io.stdout, text)
  return ExitCode.Done
}

const CONNECTION_USAGE = `      --kubeconfig FILE  kubeconfig to use instead of KUBECONFIG or ~/.kube/config
      --context NAME     context of the kubeconfig
  -h, --help             this text
`

const PODGATE_USAGE = `kubectl podgate: what went through the gateway

Usage:
  kubectl podgate sessions             list recorded sessions: your own, or all for auditors
  kubectl podgate sessions show ID     everything known about one
  kubectl podgate replay ID            show a session as it was seen, in its own time
  kubectl podgate credential           sign-in for a kubeconfig; kubectl runs it by itself
  kubectl podgate version

See 'kubectl podgate COMMAND --help' for the flags. Decisions: kubectl approve --help
`

const SESSIONS_USAGE = `kubectl podgate sessions: recorded sessions, the latest first

Usage:
  kubectl podgate sessions [flags]
  kubectl podgate sessions show ID [flags]

You see your own sessions; members of the gateway's auditor groups see everybody's.

Flags:
  -n, --namespace NS     only this namespace (without it: all)
      --pod NAME         only this pod
      --user NAME        only this person
      --limit N          at most so many, 1 to 500 (default 50)
  -o, --output FORMAT    json, yaml or wide
${CONNECTION_USAGE}`

const REPLAY_USAGE = `kubectl podgate replay: show a session as it was seen, in its own time

Usage:
  kubectl podgate replay ID [flags]

Colours, cursor movement and the alternate screen are shown; what else a program can do to a
terminal (its title, the clipboard, links, questions that the terminal answers) is left out.
Ctrl-C ends the replay and puts the terminal in order.

Flags:
      --speed N             N times as fast; 0 prints everything at once (default 1)
      --no-timing           the same as --speed 0
      --idle-limit DURATION cut longer pauses to this; 0 keeps them (default 2s)
      --raw                 terminal sequences as they were. Only for sessions you trust: they
                            can act on your terminal
${CONNECTION_USAGE}`

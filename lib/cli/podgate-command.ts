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
    const known = Object.hasOwn(COMMANDS, command ?? '') ? COMMANDS[command ?? ''] : undefined
    if (known !== undefined) {
      const run = await known.load()
      return (await run(rest, io)) ?? help(io, known.usage)
    }
    switch (command) {
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

/** Answers undefined where the person asked for help. */
type Run = (args: readonly string[], io: CliIo) => Promise<ExitCode | undefined>

async function help(io: CliIo, text: string): Promise<ExitCode> {
  await writeOut(io.stdout, text)
  return ExitCode.Done
}

const CONNECTION_USAGE = `      --kubeconfig FILE  kubeconfig to use instead of KUBECONFIG or ~/.kube/config
      --context NAME     context of the kubeconfig
  -h, --help             this text
`

const PODGATE_USAGE = `kubectl podgate: sign in at the gateway, and see what went through it

Usage:
  kubectl podgate login [ADDRESS]      sign in; with an address, adds the gateway to your kubeconfig
  kubectl podgate logout               end your sign-in
  kubectl podgate whoami               who you are to the gateway
  kubectl podgate explain exec [POD]   whether you may, by which policy, and what it asks for

  kubectl podgate sessions             list recorded sessions: your own, or all for auditors
  kubectl podgate sessions show ID     everything known about one
  kubectl podgate replay ID            show a session as it was seen, in its own time
  kubectl podgate credential           sign-in for a kubeconfig; kubectl runs it by itself
  kubectl podgate version

For admins of the gateway:
  kubectl podgate logins               who is signed in
  kubectl podgate revoke user NAME     end somebody's access everywhere, at once, and keep them out
  kubectl podgate revoke session ID    end one sign-in, or one running session
  kubectl podgate revoke token ID      end one token
  kubectl podgate revocations          who is revoked
  kubectl podgate restore ID           lift a revocation

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

const LOGIN_USAGE = `kubectl podgate login: sign in at the gateway

Usage:
  kubectl podgate login [flags]            at the gateway of the current context
  kubectl podgate login ADDRESS [flags]    at this one, and add it to your kubeconfig

Your browser opens; where there is none, a page and a code are shown, to be opened anywhere.

Flags:
      --device          show a page and a code, even where there is a browser
      --browser         wait for a browser of this machine, even where none is found
      --fresh           sign in anew, even if the provider still knows you
      --acr VALUES      ask the provider for one of these ways to sign in
      --provider NAME   which of the gateway's providers
      --token-stdin     for CI: read a token of a trusted provider from stdin
      --ca-file FILE    PEM of the gateway's authority, in place of the system's
      --name NAME       of the new context (default podgate-CLUSTER)
      --cache FILE      where the sign-in is kept (mode 0600)
${CONNECTION_USAGE}`

const LOGOUT_USAGE = `kubectl podgate logout: end your sign-in, here and at the gateway

Usage:
  kubectl podgate logout [ADDRESS] [flags]

Flags:
      --ca-file FILE    PEM of the gateway's authority
      --cache FILE      where the sign-in is kept
${CONNECTION_USAGE}`

const OUTPUT_USAGE = `  -o, --output FORMAT    json or yaml
`

const WHOAMI_USAGE = `kubectl podgate whoami: who you are to the gateway, by what, and until when

Usage:
  kubectl podgate whoami [flags]

Flags:
${OUTPUT_USAGE}${CONNECTION_USAGE}`

const EXPLAIN_USAGE = `kubectl podgate explain: whether you may, by which policy, and what it asks for

Usage:
  kubectl podgate explain exec|attach|port-forward|logs|debug [POD] [flags]

Without a pod it says what holds for the pods of the namespace. Nothing is opened by asking.
Ends with 0 for yes and 1 for no.

Flags:
  -n, --namespace NS     instead of the namespace of the context
${OUTPUT_USAGE}${CONNECTION_USAGE}`

const LOGINS_USAGE = `kubectl podgate logins: sign-ins that are open; your own, or for admins everybody's

Usage:
  kubectl podgate logins [flags]

Flags:
      --user NAME        only of this person
${OUTPUT_USAGE}${CONNECTION_USAGE}`

const REVOKE_USAGE = `kubectl podgate revoke: end access, at every replica, within a second

Usage:
  kubectl podgate revoke user NAME [flags]     all of somebody's access; they are kept out
  kubectl podgate revoke issuer URL [flags]    everybody of one provider; they may sign in again
  kubectl podgate revoke session ID [flags]    one sign-in (l-...) or one running session (s-...)
  kubectl podgate revoke token ID [flags]      one token; whoami and the API server's audit log name it

What runs is ended, with words. For the gateway's admins; what is your own you may end yourself.

Flags:
      --reason TEXT      shown to the person, and kept
      --for DURATION     users, issuers: kept out so long; users without it until you restore them
      --sign-out-only    users: end what there is; they may sign in again
      --issuer URL       users: only who comes from this provider
${OUTPUT_USAGE}${CONNECTION_USAGE}`

const REVOCATIONS_USAGE = `kubectl podgate revocations: who is revoked

Usage:
  kubectl podgate revocations [flags]

Flags:
${OUTPUT_USAGE}${CONNECTION_USAGE}`

const RESTORE_USAGE = `kubectl podgate restore: lift a revocation

Usage:
  kubectl podgate restore ID [flags]

Flags:
${CONNECTION_USAGE}`

/** Each is loaded only when it is asked for. */
const COMMANDS: Readonly<Record<string, { usage: string; load(): Promise<Run> }>> = {
  sessions: {
    usage: SESSIONS_USAGE,
    load: async () => (await import('./sessions/command.ts')).runSessions,
  },
  replay: {
    usage: REPLAY_USAGE,
    load: async () => (await import('./sessions/command.ts')).runReplay,
  },
  login: { usage: LOGIN_USAGE, load: async () => (await import('./sign-in/login.ts')).runLogin },
  logout: { usage: LOGOUT_USAGE, load: async () => (await import('./sign-in/login.ts')).runLogout },
  explain: {
    usage: EXPLAIN_USAGE,
    load: async () => (await import('./explain-command.ts')).runExplain,
  },
  whoami: {
    usage: WHOAMI_USAGE,
    load: async () => (await import('./access-command.ts')).runWhoami,
  },
  logins: {
    usage: LOGINS_USAGE,
    load: async () => (await import('./access-command.ts')).runLogins,
  },
  revoke: {
    usage: REVOKE_USAGE,
    load: async () => (await import('./access-command.ts')).runRevoke,
  },
  revocations: {
    usage: REVOCATIONS_USAGE,
    load: async () => (await import('./access-command.ts')).runRevocations,
  },
  restore: {
    usage: RESTORE_USAGE,
    load: async () => (await import('./access-command.ts')).runRestore,
  },
}

/** exec and attach as people and scripts use them, and the words of what can go wrong. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'

import { answering, untilSeen, type Leg, type Outcome, type Row } from './matrix-legs.ts'
import type { RunOptions, RunResult } from './kubectl.ts'

export function outcomeOf({ code, stdout, stderr }: RunResult): Outcome {
  return { code, stdout, stderr }
}

/** Runs a command line; `POD` stands for the pod of the version. */
export function line(args: readonly string[], options: () => RunOptions = () => ({})): Row['run'] {
  return async (leg) => outcomeOf(await leg.kubectl(forLeg(args, leg), options()))
}

/** The same in a terminal of 31 rows and 97 columns. */
export function terminalLine(args: readonly string[], options: () => RunOptions): Row['run'] {
  return async (leg) => outcomeOf(await leg.terminal(forLeg(args, leg), options()))
}

export function forLeg(args: readonly string[], leg: Leg): string[] {
  return args.map((arg) => arg.replaceAll('POD', leg.pod))
}

function inShell(script: string, flags: readonly string[] = []): string[] {
  return ['exec', ...flags, 'POD', '--', 'sh', '-c', script]
}

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
const INPUT = Buffer.alloc(1_000_001, EVERY_BYTE)
const INPUT_DIGEST = createHash('sha256').update(INPUT).digest('hex')
const OUTPUT_ROWS: readonly Row[] = [
  {
    name: 'exec of a command that prints on both streams',
    run: line(inShell('echo out; echo err >&2')),
    direct: { code: 0, stdout: 'out\n', stderr: 'err\n' },
  },
  {
    name: 'exec of a command that prints nothing',
    run: line(['exec', 'POD', '--', 'true']),
    direct: { code: 0, stdout: '', stderr: '' },
  },
  {
    name: 'exec of a command that prints a megabyte and more of all byte values',
    async run(leg) {
      // A program holds every byte value, and reading it costs nothing.
      const args = ['exec', leg.pod, '--', 'cat', '/bin/busybox']
      const result = await leg.kubectl(args, { keepBytes: 0 })
      return { ...outcomeOf(result), stdout: '', more: [result.bytes, result.sha256] }
    },
    direct: { code: 0, stderr: '' },
  },
  {
    name: 'exec by the kind and the name of the pod',
    run: line(['exec', 'pod/POD', '-c', 'main', '--', 'hostname']),
    direct: { code: 0, stdout: /^box-/ },
  },
  {
    name: 'exec without -c where there are several containers',
    run: line(['exec', 'multi-0', '--', 'hostname']),
    direct: { code: 0, stdout: 'multi-0\n', stderr: /default/i },
  },
]

const INPUT_ROWS: readonly Row[] = [
  {
    name: 'exec -i that repeats what it is given, to the end of it',
    run: line(inShell('cat; echo end', ['-i']), () => ({ input: 'one\ntwo\nno newline' })),
    direct: { code: 0, stdout: 'one\ntwo\nno newlineend\n', stderr: '' },
  },
  {
    name: 'exec -i that takes a megabyte of all byte values',
    run: line(['exec', '-i', 'POD', '--', 'sha256sum'], () => ({ input: Readable.from([INPUT]) })),
    direct: { code: 0, stdout: `${INPUT_DIGEST}  -\n`, stderr: '' },
  },
  {
    name: 'exec -i of a command that ends before its input does',
    run: line(inShell('read -r first; echo "$first"; exit 7', ['-i']), () => ({
      input: 'first\n',
      // With a listener stdin stays open: the command is not told of an end.
      ...answering(),
    })),
    direct: { code: 7, stdout: 'first\n' },
  },
]

/** The node sets the size beside running the command: it may come later than the command's input. */
const SIZE = 'until size=$(stty size 2>/dev/null); [ -n "$size" ]; do sleep 0.1; done; echo "$size"'
const INTERRUPTIBLE = 'trap "echo stopped; exit 4" INT; echo ready; while :; do sleep 1; done'

const TERMINAL_ROWS: readonly Row[] = [
  {
    name: 'exec -it that asks, knows the size of the terminal, and ends with a code',
    run: terminalLine(
      inShell(`echo ready; read -r a; ${SIZE}; echo "got $a"; exit 3`, ['-it']),
      () => answering(['ready\r\n', 'this\n']),
    ),
    direct: { code: 3, stdout: /31 97\r\ngot this\r\n/ },
  },
  {
    name: 'exec -it of a shell that is interrupted',
    run: terminalLine(inShell(INTERRUPTIBLE, ['-it']), () => answering(['ready\r\n', '\u0003'])),
    direct: { code: 4, stdout: /ready\r\n\^Cstopped\r\n/ },
  },
]

const ATTACH_ROWS: readonly Row[] = [
  {
    name: 'attach -i to a process that answers',
    run: line(['attach', '-i', 'POD', '-c', 'main'], () => ({
      ...untilSeen('you said: hello\n'),
      input: 'hello\n',
    })),
    direct: { code: null, stdout: 'you said: hello\n' },
  },
  {
    name: 'attach -it to a process without a terminal',
    run: line(['attach', '-it', 'POD', '-c', 'main'], () => ({
      ...untilSeen('you said: again\n'),
      input: 'again\n',
    })),
    direct: { code: null, stdout: 'you said: again\n' },
  },
]

const ENDING_ROWS: readonly Row[] = [
  ...[3, 137, 255].map((code) => ({
    name: `exec of a command that ends with ${code}`,
    run: line(inShell(`echo so; exit ${code}`)),
    direct: { code, stdout: 'so\n', stderr: `command terminated with exit code ${code}\n` },
  })),
  {
    name: 'exec of a command that is killed',
    run: line(inShell('kill -9 $$')),
    direct: { code: 137, stdout: '' },
  },
  {
    name: 'exec of a program that is not there',
    run: line(['exec', 'POD', '--', 'nothing-of-that-name', 'x']),
    direct: { stdout: '', stderr: /nothing-of-that-name/ },
  },
  {
    name: 'exec of a file that is no program',
    run: line(['exec', 'POD', '--', '/etc/passwd']),
    direct: { stdout: '', stderr: /permission denied/ },
  },
  {
    name: 'exec -it of a program that is not there',
    run: terminalLine(['exec', '-it', 'POD', '--', 'nothing-of-that-name'], () => ({})),
    direct: { stdout: /nothing-of-that-name/ },
  },
]

const REFUSED_ROWS: readonly Row[] = [
  {
    name: 'exec in a pod that is not there',
    run: line(['exec', 'nobody-0', '--', 'id']),
    direct: { code: 1, stdout: '', stderr: /pods "nobody-0" not found/ },
    hasSession: false,
  },
  {
    name: 'exec in a container that is not there',
    run: line(['exec', 'POD', '-c', 'nope', '--', 'id']),
    direct: { code: 1, stderr: /container nope is not valid for pod/ },
    hasSession: false,
  },
  {
    name: 'exec in a pod that has ended',
    run: line(['exec', 'ended-0', '--', 'id']),
    direct: { code: 1, stderr: /completed pod/ },
    hasSession: false,
  },
  {
    name: 'exec of nothing',
    run: line(['exec', 'POD']),
    direct: { code: 1 },
    hasSession: false,
  },
  {
    name: 'attach to a pod that is not there',
    run: line(['attach', 'nobody-0']),
    direct: { code: 1, stderr: /pods "nobody-0" not found/ },
    hasSession: false,
  },
  {
    name: 'attach to a container that is not there',
    run: line(['attach', 'POD', '-c', 'nope']),
    direct: { code: 1, stderr: /nope/ },
    hasSession: false,
  },
  {
    name: 'attach to a pod that has ended',
    run: line(['attach', 'ended-0']),
    direct: { code: 1, stderr: /completed pod/ },
    hasSession: false,
  },
]

export const COMMAND_ROWS: readonly Row[] = [
  ...OUTPUT_ROWS,
  ...INPUT_ROWS,
  ...TERMINAL_ROWS,
  ...ATTACH_ROWS,
  ...ENDING_ROWS,
  ...REFUSED_ROWS,
]

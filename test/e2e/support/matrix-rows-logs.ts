/** kubectl logs with the flags people use. */
import { untilSeen, type Row } from './matrix-legs.ts'
import { line } from './matrix-rows-exec.ts'

const ENDED = [1, 2, 3, 4, 5].map((number) => `line ${number}: grüße\n`).join('')

export const LOG_ROWS: readonly Row[] = [
  { name: 'logs', run: line(['logs', 'ended-0']), direct: { code: 0, stdout: ENDED, stderr: '' } },
  {
    name: 'logs -f of a container that has ended',
    run: line(['logs', '-f', 'ended-0']),
    direct: { code: 0, stdout: ENDED, stderr: '' },
  },
  {
    name: 'logs -f of a container that runs',
    run: line(['logs', '-f', 'talker-0'], () => untilSeen('drei\n')),
    // kubectl up to 1.31 dies of Ctrl-C, later ones end with 1.
    direct: { stdout: 'one\ntwo\ndrei\n' },
  },
  {
    name: 'logs --tail --timestamps',
    run: line(['logs', '--tail=2', '--timestamps', 'ended-0']),
    direct: { code: 0, stdout: /^\S+Z line 4: grüße\n\S+Z line 5: grüße\n$/ },
  },
  {
    name: 'logs --limit-bytes --since',
    run: line(['logs', '--limit-bytes=9', '--since=1h', 'ended-0']),
    direct: { code: 0, stdout: 'line 1: g' },
  },
  {
    name: 'logs --previous',
    run: line(['logs', '--previous', 'twice-0']),
    direct: { code: 0, stdout: 'first\n' },
  },
  {
    name: 'logs --previous where there was none',
    run: line(['logs', '--previous', 'talker-0']),
    direct: { code: 1, stderr: /previous terminated container "main"/ },
  },
  {
    name: 'logs --all-containers --prefix',
    run: line(['logs', '--all-containers', '--prefix', 'talker-0']),
    direct: { code: 0, stdout: /^\[pod\/talker-0\/main\] one\n/ },
  },
  {
    name: 'logs without -c where there are several containers',
    run: line(['logs', 'multi-0']),
    // Newer ones take the first, 1.20 refuses by itself.
    direct: { stdout: '', stderr: /main/ },
    hasSession: 'varies',
  },
  {
    name: 'logs of a pod that is not there',
    run: line(['logs', 'nobody-0']),
    direct: { code: 1, stderr: /pods "nobody-0" not found/ },
    hasSession: false,
  },
  {
    name: 'logs of a container that is not there',
    run: line(['logs', 'talker-0', '-c', 'nope']),
    direct: { code: 1, stderr: /container nope is not valid/ },
    hasSession: false,
  },
]

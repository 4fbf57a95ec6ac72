/**
 * Where a replay is shown, and how it is left in order afterwards.
 */
import { createTerminalSanitizer, type TerminalSanitizer } from '../../streams/sanitize-terminal.ts'
import type { CliIo, CliOutput } from '../io.ts'
import { writeOut } from '../output.ts'

const NEWLINE = 0x0a

/** Soft reset, plain colours, ASCII letters, cursor shown, normal screen (xterm ctlseqs). */
const RESET = '\x1b[!p\x1b[0m\x1b(B\x1b[?25h\x1b[?7h'
const LEAVE_ALTERNATE_SCREEN = '\x1b[?1049l'
/** What only `--raw` lets through: mouse reports, focus reports, bracketed paste, shifted letters. */
const RESET_RAW = '\x0f\x1b[?9;1000;1002;1003;1004;1005;1006;1015;2004l\x1b[?1l\x1b>'

export interface Screen {
  show(kind: 'stdout' | 'stderr', data: Uint8Array): Promise<void>
  /** Shows what was held back and puts the terminal in order. */
  close(): Promise<void>
}

export function createScreen(io: CliIo, raw: boolean): Screen {
  const channels = {
    stdout: createChannel(io.stdout, raw),
    stderr: createChannel(io.stderr, raw),
  }
  return {
    show: (kind, data) => channels[kind].show(data),
    close: async () => {
      await channels.stderr.close()
      await channels.stdout.close()
    },
  }
}

interface Channel {
  show(data: Uint8Array): Promise<void>
  close(): Promise<void>
}

function createChannel(output: CliOutput, raw: boolean): Channel {
  const sanitizer: TerminalSanitizer | undefined = raw ? undefined : createTerminalSanitizer()
  let shown = false
  let atLineStart = true
  let inAlternateScreen = false

  async function write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    shown = true
    atLineStart = bytes[bytes.length - 1] === NEWLINE
    // Good enough across chunks: a sanitized sequence is never split, and raw ones hardly are.
    inAlternateScreen = alternateScreenAfter(bytes, inAlternateScreen)
    await writeOut(output, bytes)
  }

  return {
    show: (data) => write(sanitizer === undefined ? data : sanitizer.push(data)),
    close: async () => {
      if (sanitizer !== undefined) await write(sanitizer.end())
      if (!shown || output.isTTY !== true) return
      // Leaving a screen that was not entered would move the cursor home.
      const leave = inAlternateScreen ? LEAVE_ALTERNATE_SCREEN : ''
      const line = atLineStart || inAlternateScreen ? '' : '\r\n'
      await writeOut(output, `${leave}${RESET}${raw ? RESET_RAW : ''}${line}`)
    },
  }
}

function alternateScreenAfter(bytes: Uint8Array, before: boolean): boolean {
  const text = Buffer.from(bytes).toString('latin1')
  let state = before
  // oxlint-disable-next-line no-control-regex
  for (const [, last] of text.matchAll(/\x1b\[\?(?:\d+;)*(?:47|1047|1049)(?:;\d+)*([hl])/g)) {
    state = last === 'h'
  }
  return state
}

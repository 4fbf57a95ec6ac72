/**
 * Makes bytes and words of strangers harmless for a terminal.
 *
 * A terminal obeys what it is shown: a sequence can set its title, fill the
 * clipboard, type an answer into the shell, hide text or draw a false prompt
 * (CVE-2021-25743 is kubectl's own case). Two cures:
 *
 * - `escapeText` for words in a message, table or field: every character that is
 *   not plainly visible becomes visible, so nothing in a line can act or hide.
 * - `createTerminalSanitizer` for a replayed stream: what draws (colours, cursor,
 *   erase, alternate screen) passes, by an allow-list; everything that talks to
 *   the terminal itself or makes it answer is left out.
 *
 * PURE. May import: errors.
 */

/** Controls (C0, DEL, C1), format characters (bidi, zero-width, tags), lone surrogates, line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
const UNSAFE_ALL = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
/** The same without the ASCII controls that lay out and that JSON text holds only between its tokens. */
const UNSAFE_IN_JSON = /(?![\n\r\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line of text in which every character is visible: `\x1b`, `\n`, `\u{202e}`. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE_ALL, visible)
}

export function hasUnsafeCharacters(text: string): boolean {
  return UNSAFE.test(text)
}

/** JSON text (or double-quoted YAML) with the same meaning, in which every character is visible. */
export function escapeJsonText(json: string): string {
  return json.replace(UNSAFE_IN_JSON, (character) =>
    Array.from({ length: character.length }, (_, unit) => {
      return `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`
    }).join(''),
  )
}

function visible(character: string): string {
  const named = NAMED[character]
  if (named !== undefined) return named
  const code = character.codePointAt(0) ?? 0
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}

export interface TerminalSanitizer {
  /** What may be shown of the stream so far; an unfinished sequence is held back. */
  push(chunk: Uint8Array): Uint8Array
  /** What was held back, as visible text: it can no longer become a sequence. */
  end(): Uint8Array
}

const ESC = '\x1b'
const BEL = '\x07'

/** No honest sequence is longer; past it the text is shown, so that an open one cannot hide output. */
const MAX_SEQUENCE = 64
const MAX_STRING = 4096

/** CSI finals that only draw: move, erase, insert, delete, scroll, repeat, colour, margins, tab stops. */
const DRAWING = '@ABCDEFGHIJKLMPSTXZ`abdefgmrsu'
/** DEC private modes that only draw: origin, wrap, cursor blink and show, alternate screen. */
const PRIVATE_MODES = new Set(['6', '7', '12', '25', '47', '1047', '1048', '1049'])
/** ESC + one character that only draws: save and restore cursor, index, next line, tab stop. */
const DRAWING_ESCAPES = '78DEHM'
/** ESC + these begin a string that ends with BEL or ST: OSC, DCS, APC, PM, SOS, a tmux title. */
const STRING_STARTS = ']P_^Xk'

type State = 'ground' | 'escape' | 'charset' | 'csi' | 'string' | 'stringEscape'

export function createTerminalSanitizer(): TerminalSanitizer {
  // Bytes that are not UTF-8, raw C1 controls among them, become U+FFFD.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const encoder = new TextEncoder()
  let state: State = 'ground'
  let held = ''
  let out = ''

  /** The held text is no sequence that may pass: show it, and go on with `character` afresh. */
  function giveUp(character: string): void {
    out += escapeText(held)
    held = ''
    state = 'ground'
    ground(character)
  }

  function finish(pass: boolean): void {
    if (pass) out += held
    held = ''
    state = 'ground'
  }

  function ground(character: string): void {
    if (character === ESC) {
      held = character
      state = 'escape'
    } else if ('\n\r\t\b'.includes(character) || !UNSAFE.test(character)) {
      out += character
    } else if (character >= ' ' && character !== '\x7f') {
      out += visible(character)
    }
    // Other C0 controls (the bell, shift out, enquiry) draw nothing: left out.
  }

  function escape(character: string): void {
    held += character
    if (character === '[') state = 'csi'
    else if (STRING_STARTS.includes(character)) state = 'string'
    else if ('()'.includes(character)) state = 'charset'
    else if (character === ESC) held = character
    else if (character < ' ') {
      finish(false)
      ground(character)
    } else finish(DRAWING_ESCAPES.includes(character))
  }

  function csi(character: string): void {
    if (character >= '@' && character <= '~') {
      held += character
      finish(mayPass(held.slice(2, -1), character))
    } else if (character < ' ' || character > '~' || held.length >= MAX_SEQUENCE) {
      giveUp(character)
    } else held += character
  }

  function string(character: string): void {
    if (character === BEL) finish(false)
    else if (character === ESC) {
      held += character
      state = 'stringEscape'
    } else if (character < ' ' || character === '\u009c' || held.length >= MAX_STRING) {
      giveUp(character)
    } else held += character
  }

  function step(character: string): void {
    switch (state) {
      case 'ground':
        return ground(character)
      case 'escape':
        return escape(character)
      case 'charset':
        held += character
        return finish('0AB'.includes(character))
      case 'csi':
        return csi(character)
      case 'string':
        return string(character)
      case 'stringEscape':
        // ST ends it; any other ESC ends it too, as in a terminal, and begins anew.
        finish(false)
        if (character === '\\') return
        ground(ESC)
        return step(character)
    }
  }

  function take(): Uint8Array {
    const bytes = encoder.encode(out)
    out = ''
    return bytes
  }

  return {
    push: (chunk) => {
      for (const character of decoder.decode(chunk, { stream: true })) step(character)
      return take()
    },
    end: () => {
      for (const character of decoder.decode()) step(character)
      out += escapeText(held)
      held = ''
      state = 'ground'
      return take()
    },
  }
}

function mayPass(body: string, final: string): boolean {
  if (final === 'h' || final === 'l') {
    if (body === '4') return true
    if (!body.startsWith('?')) return false
    return body
      .slice(1)
      .split(';')
      .every((mode) => PRIVATE_MODES.has(mode))
  }
  if (!DRAWING.includes(final)) return false
  // Four digits are more than any screen; longer counts only keep a terminal busy.
  if (!/^\d{0,4}(?:[;:]\d{0,4})*$/.test(body)) return false
  // ED 3 wipes the scrollback of the person who replays.
  if (final === 'J') return /^[012]?$/.test(body)
  // With more parameters T is highlight mouse tracking, which stops an xterm.
  if (final === 'T') return /^\d*$/.test(body)
  return true
}

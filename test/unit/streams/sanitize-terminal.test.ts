import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import {
  createTerminalSanitizer,
  escapeJsonText,
  escapeText,
  hasUnsafeCharacters,
} from '../../../lib/streams/sanitize-terminal.ts'

const ESC = '\x1b'
const CSI = `${ESC}[`

function sanitize(input: string | Uint8Array, chunkSize = Infinity): string {
  const bytes = typeof input === 'string' ? Buffer.from(input) : input
  const sanitizer = createTerminalSanitizer()
  const parts: Uint8Array[] = []
  const size = Math.min(chunkSize, Math.max(1, bytes.length))
  for (let at = 0; at < bytes.length; at += size) {
    parts.push(sanitizer.push(bytes.subarray(at, at + size)))
  }
  parts.push(sanitizer.end())
  return Buffer.concat(parts).toString('utf8')
}

describe('escapeText', () => {
  it.each([
    {
      name: 'leaves plain text alone',
      text: 'Zoë said: 日本 €𝒳 \\o/',
      want: 'Zoë said: 日本 €𝒳 \\o/',
    },
    { name: 'shows line breaks and tabs', text: 'a\r\n\tb', want: String.raw`a\r\n\tb` },
    { name: 'shows escape and bell', text: '\x1b]0;x\x07', want: String.raw`\x1b]0;x\x07` },
    { name: 'shows delete', text: 'a\x7fb', want: String.raw`a\x7fb` },
    { name: 'shows C1 controls', text: '\u009b2J', want: String.raw`\x9b2J` },
    {
      name: 'shows bidi overrides',
      text: '\u202eabc\u2069',
      want: String.raw`\u{202e}abc\u{2069}`,
    },
    {
      name: 'shows zero-width characters',
      text: 'a\u200bb\ufeff',
      want: String.raw`a\u{200b}b\u{feff}`,
    },
    { name: 'shows line separators', text: 'a\u2028b', want: String.raw`a\u{2028}b` },
    { name: 'shows tags', text: 'a\u{e0041}', want: String.raw`a\u{e0041}` },
    { name: 'shows half of a pair', text: 'a\ud83d', want: String.raw`a\u{d83d}` },
  ])('$name', ({ text, want }) => {
    expect(escapeText(text)).toBe(want)
    expect(hasUnsafeCharacters(text)).toBe(text !== want)
  })

  it('leaves nothing unsafe, whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => !hasUnsafeCharacters(escapeText(text))),
    )
  })
})

describe('escapeJsonText', () => {
  it('keeps the meaning and shows every character', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const text = escapeJsonText(JSON.stringify(value, null, 2))
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(hasUnsafeCharacters(text.replaceAll('\n', ''))).toBe(false)
      }),
    )
  })
})

describe('createTerminalSanitizer lets pass what draws', () => {
  it.each([
    { name: 'text with line breaks, tabs and backspaces', text: 'a\r\n\tb\bc' },
    { name: 'colours', text: `${CSI}1;38;5;208mred${CSI}0m${CSI}m${CSI}38:2::1:2:3m` },
    { name: 'cursor movement', text: `${CSI}10;20H${CSI}A${CSI}3B${CSI}s${CSI}u${ESC}7${ESC}8` },
    { name: 'erasing', text: `${CSI}K${CSI}2K${CSI}J${CSI}2J${CSI}5X` },
    {
      name: 'inserting, deleting and scrolling',
      text: `${CSI}2L${CSI}3M${CSI}4P${CSI}2;10r${CSI}S${CSI}T`,
    },
    {
      name: 'the alternate screen and the cursor',
      text: `${CSI}?1049h${CSI}?25l${CSI}?25;7h${CSI}?1049l`,
    },
    { name: 'line drawing', text: `${ESC}(0lqqk${ESC}(B` },
    { name: 'letters of every script', text: 'Zoë 日本 €𝒳 שלום' },
  ])('$name', ({ text }) => {
    for (let size = 1; size <= Buffer.byteLength(text); size += 1) {
      expect(sanitize(text, size)).toBe(text)
    }
  })
})

describe('createTerminalSanitizer leaves out what acts', () => {
  it.each([
    { name: 'the window title', text: `a${ESC}]0;evil\x07b`, want: 'ab' },
    { name: 'the window title, ended by ST', text: `a${ESC}]2;evil${ESC}\\b`, want: 'ab' },
    { name: 'the clipboard (OSC 52)', text: `a${ESC}]52;c;ZXZpbA==\x07b`, want: 'ab' },
    { name: 'links (OSC 8)', text: `${ESC}]8;;http://x\x07click${ESC}]8;;\x07`, want: 'click' },
    { name: 'device control strings', text: `a${ESC}P+q544e${ESC}\\b`, want: 'ab' },
    {
      name: 'APC, PM, SOS and tmux titles',
      text: `${ESC}_a${ESC}\\${ESC}^b${ESC}\\${ESC}Xc${ESC}\\${ESC}kd${ESC}\\.`,
      want: '.',
    },
    {
      name: 'questions that the terminal answers by typing',
      text: `${CSI}6n${CSI}c${CSI}>c${CSI}21t${CSI}?1$p${CSI}0xok`,
      want: 'ok',
    },
    {
      name: 'mouse and focus reports',
      text: `${CSI}?1000h${CSI}?1004h${CSI}?1006;25hok`,
      want: 'ok',
    },
    { name: 'bracketed paste', text: `${CSI}?2004hok`, want: 'ok' },
    { name: 'the keyboard lock', text: `${CSI}2hok`, want: 'ok' },
    { name: 'another level of conformance', text: `${CSI}61"pok`, want: 'ok' },
    { name: 'wiping the scrollback', text: `${CSI}3Jok`, want: 'ok' },
    { name: 'a full reset', text: `${ESC}cok`, want: 'ok' },
    { name: 'highlight tracking', text: `${CSI}1;2;3;4;5Tok`, want: 'ok' },
    { name: 'counts that keep a terminal busy', text: `x${CSI}99999bok`, want: 'xok' },
    { name: 'printing', text: `${CSI}5iok${CSI}4i`, want: 'ok' },
    { name: 'the bell, enquiry and shifts', text: 'a\x07\x05\x0e\x0fb\x00', want: 'ab' },
    {
      name: 'a C1 control without any ESC byte',
      text: 'a\u009d52;c;eA\u009cb',
      want: String.raw`a\x9d52;c;eA\x9cb`,
    },
    { name: 'text run backwards', text: 'a\u202eb', want: String.raw`a\u{202e}b` },
    {
      name: 'a sequence begun by a broken one',
      text: `${ESC}]0;x${ESC}[31mred`,
      want: `${CSI}31mred`,
    },
    { name: 'ESC twice', text: `${ESC}${ESC}[31mred`, want: `${CSI}31mred` },
  ])('$name', ({ text, want }) => {
    for (let size = 1; size <= Buffer.byteLength(text); size += 1) {
      expect(sanitize(text, size)).toBe(want)
    }
  })

  it('takes raw C1 bytes and broken UTF-8 for what they are: no text', () => {
    expect(sanitize(Buffer.from([0x61, 0x9b, 0x32, 0x4a, 0xc3]))).toBe('a\ufffd2J\ufffd')
  })
})

describe('createTerminalSanitizer hides nothing behind a sequence that does not end', () => {
  it.each([
    { name: 'at the end', text: `a${ESC}]0;rest`, want: String.raw`a\x1b]0;rest` },
    { name: 'at a line break', text: `a${ESC}]0;x\nrest`, want: 'a\\x1b]0;x\nrest' },
    { name: 'in a CSI', text: `a${CSI}1;2\nrest`, want: 'a\\x1b[1;2\nrest' },
    { name: 'in an endless CSI', text: `${CSI}${'1'.repeat(70)}`, want: `\\x1b[${'1'.repeat(70)}` },
    {
      name: 'after 4096 characters',
      text: `${ESC}P${'x'.repeat(5000)}`,
      want: `\\x1bP${'x'.repeat(5000)}`,
    },
  ])('$name', ({ text, want }) => {
    expect(sanitize(text)).toBe(want)
    expect(sanitize(text, 7)).toBe(want)
  })
})

/** A second opinion: the only ESC bytes left begin sequences of these shapes. */
const ALLOWED =
  // oxlint-disable-next-line no-control-regex
  /\x1b(?:\[[\d;:]*[@A-HIJKLMPSTXZ`abdefgmrsu]|\[4[hl]|\[\?[\d;]+[hl]|\([0AB]|\)[0AB]|[78DEHM])/g

describe('createTerminalSanitizer with arbitrary bytes', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      ESC,
      CSI,
      `${ESC}]`,
      `${ESC}P`,
      '\x07',
      `${ESC}\\`,
      ';',
      '?',
      '52;c;',
      '1049',
      'h',
      'm',
      'J',
      '\n',
      '\u009b',
      '(',
      '0',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }),
  )
  const stream = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.from(pieces.join('')))

  it('emits no control but those of the allow-list', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        const rest = sanitize(bytes)
          .replace(ALLOWED, '')
          .replaceAll(/[\n\r\t\b]/g, '')
        expect(hasUnsafeCharacters(rest)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  it('gives the same however the stream is cut', () => {
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 9 }), (bytes, size) => {
        expect(sanitize(bytes, size)).toBe(sanitize(bytes))
      }),
      { numRuns: 500 },
    )
  })
})

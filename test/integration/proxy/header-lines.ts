/**
 * Header lines as somebody writes them who wants to be somebody else.
 *
 * Each is a text of bytes (latin1). `{ana}`, `{bo}` and `{bo64}` stand for what people sign in with;
 * they are filled in when it is sent.
 */
import fc, { type Arbitrary } from 'fast-check'

export interface Line {
  text: string
  /** The connection may not outlive a request with it: nothing is sent behind it. */
  isLast: boolean
}

export const pick = <T>(...values: T[]): Arbitrary<T> => fc.constantFrom(...values)

const ours = (name: string): string[] => [name, name.toLowerCase(), name.toUpperCase()]

/** Impersonation by the rules, and almost. */
export const IMPERSONATE: Arbitrary<string> = pick(
  ...['Impersonate-User', 'Impersonate-Group', 'Impersonate-Uid'].flatMap(ours),
  'Impersonate-Extra-Scopes',
  'Impersonate-Extra-podgate.dev%2fsession',
  'Impersonate-Extra-Podgate.dev%2FIssuer',
  'Impersonate-Extra-podgate.dev%252fsession',
  'Impersonate-Extra-%70odgate.dev%2Ftoken-id',
  'Impersonate-Extra-%zz',
  'Impersonate-Extra-',
  'Impersonate-',
  'Impersonate--User',
  'Impersonate-Users',
  'Impersonate-User%20',
  'impersonate-extra-podgate.dev%2Flogin',
)

/** What some server somewhere takes for an identity. */
export const ALIEN: Arbitrary<string> = pick(
  'X-Remote-User',
  'X-Remote-Group',
  'x-remote-uid',
  'X-Remote-Extra-Scopes',
  'X-Remote-Extra-podgate.dev%2fsession',
  'X-Forwarded-For',
  'X-Forwarded-User',
  'X-Forwarded-Groups',
  'X-Forwarded-Access-Token',
  'X-Forwarded-Client-Cert',
  'X-Forwarded-Proto',
  'X-Real-IP',
  'X-Auth-Request-User',
  'X-WebAuth-User',
  'Remote-User',
  'Forwarded',
  'Via',
  'Proxy-Authorization',
  'Proxy-Authenticate',
  'WWW-Authenticate',
  'Cookie',
  'cookie2',
  'Set-Cookie',
  'Ssl-Client-Cert',
  'SSL-Client-Subject-DN',
  'ssl-client-verify',
  'X-SSL-Client-CN',
  'X-Client-Cert',
  'Client-Cert',
  'X-HTTP-Method-Override',
  'X-Original-URL',
  'X-Podgate-User',
  'Audit-Id',
  'Authorization2',
  'X-Authorization',
)

/** Names of ours as no parser should read them, and of what objects are made of. */
const DISGUISED = pick(
  'Impersonate_User',
  'Impersonate_Group',
  'IMPERSONATE_USER',
  'X_Remote_User',
  'Impersonate%2DUser',
  '%49mpersonate-User',
  'Impersonate.User',
  'ImpersonateUser',
  "'Impersonate-User'",
  '`Impersonate-User`',
  'Impersonate~User',
  'Impersonate+User',
  '*Impersonate-User',
  'Proxy-Impersonate-User',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'toString',
  '0',
  'length',
  'Host',
)

/** What does pass, or says how the connection is used. */
const ORDINARY = pick(
  'Accept',
  'User-Agent',
  'Accept-Language',
  'Content-Type',
  'Content-Encoding',
  'If-None-Match',
  'If-Match',
  'Kubectl-Command',
  'Cache-Control',
  'X-Requested-With',
  'Origin',
  'Referer',
  'TE',
  'Trailer',
  'Keep-Alive',
  'HTTP2-Settings',
  'Max-Forwards',
  'Sec-WebSocket-Protocol',
  'X-Stream-Protocol-Version',
  'Sec-WebSocket-Extensions',
  'Priority',
)

const VALUE = fc.oneof(
  {
    weight: 8,
    arbitrary: pick(
      'admin',
      'system:masters',
      'system:admin',
      'system:serviceaccount:kube-system:default',
      'bo',
      'Impersonate-User',
      'Authorization, Impersonate-Group',
      'impersonate-user;q=1, trailers',
      'trailers',
      '',
      '""',
      '\tadmin \t',
      'a,b',
      'admin\xc3\xa9',
      '\xff\xfe\x80',
      'ana\xe2\x80\x8b',
      '\xe2\x80\x90',
      'system%3Amasters',
      '%0d%0aImpersonate-User: admin',
      'Bearer of-the-gateway',
      'Basic YTpi',
      '{bo}',
      'token={bo}',
      'v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{bo64}',
      'base64url.bearer.authorization.k8s.io.{bo64}',
      'for=10.0.0.1;by="_x";host=admin',
      'By=spiffe://x;Hash=1;Subject="CN=admin"',
      'CN=system:admin,O=system:masters',
    ),
  },
  { weight: 1, arbitrary: fc.stringMatching(/^[!-~][ -~\x80-\xff]{0,30}[!-~]$/) },
)

const TOKEN_CHAR = "abzABZ019-_.!#$%&'*+^`|~".split('')
const ANY_NAME = fc.string({ unit: pick(...TOKEN_CHAR), minLength: 1, maxLength: 12 })

const OPTIONS = pick(
  'Impersonate-User',
  'impersonate-uSER',
  'keep-alive, Impersonate-Group',
  'Impersonate-Uid ,\tAuthorization',
  'keep-alive',
  'Authorization',
  'IMPERSONATE-USER,IMPERSONATE-GROUP,AUTHORIZATION,HOST',
  'Impersonate-Extra-podgate.dev%2fsession',
  'Impersonate-Extra-Podgate.dev%2FIssuer, TE',
  'X-Remote-User, Content-Type',
  '"Impersonate-User"',
  ',,Impersonate-User,,',
  'te, trailer',
)

const stays = (text: string): Line => ({ text, isLast: false })
const ends = (text: string): Line => ({ text, isLast: true })

export const header = (
  name: Arbitrary<string>,
  value: Arbitrary<string> = VALUE,
): Arbitrary<Line> =>
  fc
    .tuple(name, pick(': ', ':', ':\t', ':   '), value)
    .map(([left, colon, right]) => stays(`${left}${colon}${right}`))

const DROPPED = fc.oneof(
  { weight: 5, arbitrary: header(ALIEN) },
  { weight: 3, arbitrary: header(DISGUISED) },
  { weight: 3, arbitrary: header(ORDINARY) },
  { weight: 1, arbitrary: header(ANY_NAME.filter((name) => !/^impersonate-/i.test(name))) },
  {
    weight: 4,
    arbitrary: header(
      pick('Connection', 'connection', 'CONNECTION', 'Proxy-Connection', 'Keep-Alive'),
      OPTIONS,
    ),
  },
  {
    weight: 1,
    arbitrary: header(
      pick('Authorization', 'authorization', 'AUTHORIZATION'),
      pick(
        'Bearer of-the-gateway',
        'Bearer {ana}x',
        '{bo}',
        '{ana}',
        'Basic YTpi',
        '',
        '{bo}, {ana}',
      ),
    ),
  },
)

/** No HTTP, or the last of it on a connection. `{name}` and `{value}` are filled in. */
const ENDING = fc
  .tuple(
    pick(
      '{name} : {value}',
      '{name}\t: {value}',
      ' {name}: {value}',
      '\t{name}: {value}',
      'X-A: a\r\n {name}: {value}',
      'X-A: a\r\n\t{name}: {value}',
      'X-A: a\r{name}: {value}',
      'X-A: a\n{name}: {value}',
      'X-A: a\r\r\n{name}: {value}',
      '{name}\x00: {value}',
      '{name}: \x00{value}',
      '{name}\x0b: {value}',
      '{name}:\x0b{value}',
      '\xef\xbb\xbf{name}: {value}',
      '{name}\xa0: {value}',
      '[{name}]: {value}',
      '{name}/x: {value}',
      '"{name}": {value}',
      '{name}',
      ': {name}: {value}',
      '{name}\\: {value}',
      '{8bit}: {value}',
      'Connection: close, {name}',
      'Connection: {name}\r\nConnection: close',
      'Proxy-Connection: close',
      'Connection: Upgrade, {name}\r\nUpgrade: websocket',
      'Connection: {name}, upgrade\r\nUpgrade: h2c',
      'Connection: Upgrade\r\nUpgrade: SPDY/3.1, websocket',
      'Upgrade: TLS/1.0',
    ),
    pick('Impersonate-User', 'impersonate-group', 'X-Remote-User', 'Authorization', 'Connection'),
    pick(
      'Impersonate\xe2\x80\x90User',
      'Impersonate\xe2\x80\x91User',
      'Impersonate\xe2\x88\x92User',
      'Impersonate\xadUser',
      'Impersonate-\xdcser',
      'Impersonate-User\xff',
      '\xc4\xb0mpersonate-User',
    ),
    pick('admin', 'system:masters', 'Impersonate-User', '{bo}'),
  )
  .map(([template, name, eightBit, value]) =>
    ends(
      template
        .replaceAll('{name}', name)
        .replaceAll('{8bit}', eightBit)
        .replaceAll('{value}', value),
    ),
  )

/** Up to and beyond what a head may hold: 64 KiB and 200 lines. */
const HUGE = fc
  .tuple(
    header(fc.oneof(ALIEN, DISGUISED, IMPERSONATE)),
    fc.nat(2),
    fc.integer({ min: 1, max: 70 }),
  )
  .map(([{ text }, kind, size]) => {
    if (kind === 0) return ends(`${text}${'x'.repeat(size * 1024)}`)
    if (kind === 1) return ends(`${'X'.repeat(size * 1024)}: x\r\n${text}`)
    return ends(
      `${Array.from({ length: size * 4 }, (_, n) => `X-${n}: x`).join('\r\n')}\r\n${text}`,
    )
  })

const many = (line: Arbitrary<Line>, minLength: number, maxLength: number): Arbitrary<Line[]> =>
  fc.array(line, { minLength, maxLength, size: 'max' })

export const LINES: Arbitrary<Line[]> = fc.oneof(
  { weight: 350, arbitrary: many(DROPPED, 0, 8) },
  {
    weight: 100,
    arbitrary: fc
      .tuple(many(DROPPED, 0, 3), many(header(IMPERSONATE), 1, 3), many(DROPPED, 0, 2))
      .map((parts) => parts.flat()),
  },
  {
    weight: 15,
    arbitrary: fc
      .tuple(many(DROPPED, 0, 3), ENDING, many(DROPPED, 0, 2))
      .map(([before, line, after]) => [...before, line, ...after]),
  },
  { weight: 2, arbitrary: fc.tuple(many(DROPPED, 0, 2), HUGE).map((parts) => parts.flat()) },
)

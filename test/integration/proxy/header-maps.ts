/**
 * Requests of somebody who wants to be somebody else: any headers and any framing, on every road.
 *
 * Texts are bytes (latin1). `{n}` stands for the number of the request and `{ana}`, `{bo}`, `{eve}`
 * for what people sign in with; they are filled in when it is sent.
 */
import fc, { type Arbitrary } from 'fast-check'

import { ALIEN, header, IMPERSONATE, LINES, type Line, pick } from './header-lines.ts'
import { SPDY, V4, V5, WEBSOCKET } from './upgrade-heads.ts'

export interface Road {
  start: string
  /** What the road needs, such as the words of an upgrade. */
  lines: readonly string[]
  isUpgrade: boolean
  /** What goes upstream within a session carries its mark. */
  isSession: boolean
  /** Refused, whatever else the request says. */
  isClosed: boolean
}

export interface Framed {
  lines: readonly string[]
  body: string
}

export interface Framing {
  /** With a request to hide in the body. */
  frame(hidden: string): Framed
  /** Nothing is sent behind it. */
  isLast: boolean
  /** The gateway finds out only when upstream has seen the head. */
  isBroken: boolean
}

export interface HeaderMap {
  road: Road
  framing: Framing
  person: 'ana' | 'bo'
  /** Where the line with the token stands among the others. */
  at: number
  lines: readonly Line[]
}

const SHOP = '/api/v1/namespaces/shop'
const POD = `${SHOP}/pods/m-{n}`
const EXEC = 'exec?command=id&stdout=true'
const BEARER = `${V5}, base64url.bearer.authorization.k8s.io.{bo64}`

const plain = (start: string): Road => ({
  start,
  lines: [],
  isUpgrade: false,
  isSession: false,
  isClosed: false,
})
const session = (start: string): Road => ({ ...plain(start), isSession: true })
const upgrade = (start: string, ...lines: string[]): Road => ({
  ...session(start),
  lines,
  isUpgrade: true,
})
const closed = (road: Road): Road => ({ ...road, isClosed: true })

const PLAIN = [
  `GET ${SHOP}/configmaps/m-{n}`,
  `GET ${SHOP}/secrets?fieldSelector=metadata.name=m-{n}`,
  `GET ${SHOP}/events?watch=true&resourceVersion=1&x=m-{n}`,
  'GET /apis/apps/v1/namespaces/shop/deployments/m-{n}',
  'GET /api/v1/nodes/m-{n}',
  'GET /version?x=m-{n}',
  'GET /openapi/v3?x=m-{n}',
  `DELETE ${SHOP}/secrets/m-{n}`,
  `POST ${SHOP}/configmaps?x=m-{n}`,
  `PUT ${SHOP}/configmaps/m-{n}`,
  `PATCH ${SHOP}/pods/m-{n}/status`,
].map(plain)

const SESSIONS = [
  `GET ${POD}/log?tailLines=1`,
  `GET ${POD}:8080/proxy/x`,
  `POST ${POD}:8080/proxy/x`,
  `GET ${SHOP}/services/m-{n}:80/proxy/`,
].map(session)

const UPGRADES = [
  upgrade(`POST ${POD}/${EXEC}`, ...SPDY, V4),
  upgrade(`GET ${POD}/${EXEC}`, ...WEBSOCKET, V5),
  upgrade(`GET ${POD}/${EXEC}`, ...WEBSOCKET, BEARER),
  upgrade(`POST ${POD}/attach?stdout=true`, ...SPDY, V4),
  upgrade(`GET ${POD}/attach?stdout=true`, ...WEBSOCKET, BEARER),
  upgrade(`POST ${POD}/portforward`, ...SPDY, 'X-Stream-Protocol-Version: portforward.k8s.io'),
  upgrade(
    `GET ${POD}/portforward?ports=80`,
    ...WEBSOCKET,
    'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io',
  ),
  upgrade(`GET ${POD}/log?follow=true`, ...WEBSOCKET, 'Sec-WebSocket-Protocol: binary.k8s.io'),
  closed(upgrade(`GET ${SHOP}/services/m-{n}:80/proxy/?x=1`, ...WEBSOCKET)),
  closed(upgrade(`GET ${SHOP}/configmaps/m-{n}?x=1`, ...WEBSOCKET, BEARER)),
]

export const ROADS: readonly Road[] = [...PLAIN, ...SESSIONS, ...UPGRADES]

const framing = (frame: Framing['frame'], rest: Partial<Framing> = {}): Framing => ({
  frame,
  isLast: false,
  isBroken: false,
  ...rest,
})

const NONE = framing(() => ({ lines: [], body: '' }))

const chunk = (text: string, extension: string): string =>
  `${text.length.toString(16)}${extension}\r\n${text}\r\n`

const TRAILERS = fc.array(header(fc.oneof(IMPERSONATE, ALIEN)), { maxLength: 3 })

const CHUNKED = fc
  .tuple(
    TRAILERS,
    pick('', ';Impersonate-User=admin', ';x="Impersonate-User"'),
    pick(
      [],
      ['Trailer: Impersonate-User'],
      ['TE: trailers', 'Trailer: Authorization, X-Remote-User'],
    ),
  )
  .map(([trailers, extension, announced]) =>
    framing((hidden) => ({
      lines: ['Transfer-Encoding: chunked', ...announced],
      body: [
        chunk(hidden, extension),
        `0${extension}\r\n`,
        ...trailers.map(({ text }) => `${text}\r\n`),
        '\r\n',
      ].join(''),
    })),
  )

const LENGTH = fc.constant(
  framing((hidden) => ({ lines: [`Content-Length: ${hidden.length}`], body: hidden })),
)

/** Refused without a 100, the connection ends: nobody knows whether the body will come. */
const EXPECTED = framing(
  (hidden) => ({
    lines: ['Expect: 100-continue', `Content-Length: ${hidden.length}`],
    body: hidden,
  }),
  { isLast: true },
)

/** Two parsers would find two requests here, and where the second one begins is another matter. */
const AMBIGUOUS = pick(
  ['Content-Length: {length}', 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding: chunked', 'Content-Length: {length}'],
  ['Content-Length: 4', 'Content-Length: {length}'],
  ['Content-Length: 4, {length}'],
  ['Content-Length: +{length}'],
  ['Content-Length : {length}'],
  ['Content-Length: 0x4'],
  ['Transfer-Encoding : chunked'],
  ['Transfer-Encoding: xchunked'],
  ['Transfer-Encoding: \x0bchunked'],
  ['Transfer-Encoding: chunked, identity'],
  ['Transfer-Encoding: identity'],
  ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
  ['Transfer-Encoding:\r\n chunked'],
  ['X: x\r\n Transfer-Encoding: chunked'],
).map((lines) =>
  framing(
    (hidden) => ({
      lines: lines.map((line) => line.replace('{length}', String(hidden.length))),
      body: `0\r\n\r\n${hidden}`,
    }),
    { isLast: true },
  ),
)

/** A whole request without a body, and behind it what is none. */
const PASSED_OVER = pick(
  ['Content_Length: 400'],
  ['Transfer_Encoding: chunked'],
  ['X-Content-Length: 400'],
  ['Connection: Content-Length', 'Content-Length: 0'],
  ['Connection: Transfer-Encoding, Content-Length', 'Content-Length: 0'],
).map((lines) =>
  framing((hidden) => ({ lines, body: `0\r\n\r\n${hidden}` }), { isLast: true, isBroken: true }),
)

const BROKEN = pick(
  'xyz\r\n',
  '-1\r\n',
  '4\nabcd\n',
  '1\r\nabcd\r\n',
  '0\r\nImpersonate-User : admin\r\n\r\n',
  '0\r\nImpersonate-\xdcser: admin\r\n\r\n',
  '0\r\n Impersonate-User: admin\r\n\r\n',
).map((body) =>
  framing((hidden) => ({ lines: ['Transfer-Encoding: chunked'], body: body + hidden }), {
    isLast: true,
    isBroken: true,
  }),
)

const FRAMING = fc.oneof(
  { weight: 180, arbitrary: fc.constant(NONE) },
  { weight: 8, arbitrary: LENGTH },
  { weight: 1, arbitrary: fc.constant(EXPECTED) },
  { weight: 10, arbitrary: CHUNKED },
  { weight: 1, arbitrary: AMBIGUOUS },
  { weight: 1, arbitrary: fc.oneof(BROKEN, PASSED_OVER) },
)

const ROAD = fc.oneof(
  { weight: 95, arbitrary: pick(...PLAIN) },
  { weight: 3, arbitrary: pick(...SESSIONS) },
  { weight: 2, arbitrary: pick(...UPGRADES) },
)

export const HEADER_MAP: Arbitrary<HeaderMap> = fc
  .record({
    road: ROAD,
    framing: FRAMING,
    person: pick<HeaderMap['person']>('ana', 'bo'),
    at: fc.nat(8),
    lines: LINES,
  })
  // A body belongs to a request that can have one.
  .map((map) => (map.road.isSession ? { ...map, framing: NONE } : map))

export function isLast({ road, framing: { isLast: ends }, lines }: HeaderMap): boolean {
  return road.isUpgrade || ends || lines.some((line) => line.isLast)
}

/**
 * Sends header maps to a gateway over real connections and compares what the cluster has seen of
 * each with what the verified token says.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'

import type { User } from '../../../lib/identity/user.ts'
import { answer } from '../../fakes/scripted-api-server.ts'
import { json, readBytes } from '../../fakes/scripted-cluster.ts'
import { pod, type GatewayUnderTest } from './gateway-under-test.ts'
import { type HeaderMap, isLast, type Road } from './header-maps.ts'
import { identityLines, speakingOfIdentity } from './identity-oracle.ts'
import { PEOPLE, type Person } from './people.ts'
import { parseResponses, type RawResponse } from './raw-client.ts'

/** Requests on their way at the same time on one connection. */
const DEPTH = 12
/** Connections at the same time. */
const LANES = 2

/** What the cluster was sent of one map. */
interface Seen {
  /** A question of the gateway itself about the pod or the rights of the person. */
  isLookup: boolean
  identity: string[]
  url: string
  trailers: string[]
}

interface Sent {
  n: number
  map: HeaderMap
  bytes: string
}

/** How a map went wrong; what was sent stands in it, to be made a test of. */
export class Counterexample extends Error {
  override readonly name = 'Counterexample'
  readonly map: HeaderMap

  constructor(map: HeaderMap, message: string) {
    super(message)
    this.map = map
  }
}

export interface Outcomes {
  passed: number
  refused: number
  /** Without a word. */
  cut: number
  /** Those on which something passed. */
  roads: Set<Road>
}

export class HeaderMapRunner {
  /** For an answer or the end of the connection. */
  patienceMs = 15_000
  readonly outcomes: Outcomes = { passed: 0, refused: 0, cut: 0, roads: new Set() }
  readonly #under: GatewayUnderTest
  readonly #users: ReadonlyMap<Person, User>
  readonly #bearers: ReadonlyMap<string, Person>
  readonly #secureContext: SecureContext
  /** By the mark in its path: `m-7` is the seventh map, `h-7` what was hidden in it. */
  readonly #seen = new Map<string, Seen[]>()
  /** Broken ones, by their mark: upstream may hear of them when their connection is gone. */
  readonly #broken = new Map<string, Sent>()
  readonly #idle: TLSSocket[] = []
  #tlsSession: Buffer | undefined
  #serial = 0

  private constructor(under: GatewayUnderTest, users: Map<Person, User>) {
    this.#under = under
    this.#users = users
    const { people } = under.ground
    this.#bearers = new Map([...users.keys()].map((person) => [people.bearer(person), person]))
    this.#secureContext = createSecureContext({ ca: under.ca })
    this.#prepareCluster()
  }

  static async start(under: GatewayUnderTest): Promise<HeaderMapRunner> {
    const { authenticator, bearer } = under.ground.people
    const users = new Map<Person, User>()
    for (const person of Object.keys(PEOPLE) as Person[]) {
      users.set(person, await authenticator.authenticate(bearer(person)))
    }
    return new HeaderMapRunner(under, users)
  }

  close(): void {
    for (const socket of this.#idle) socket.destroy()
  }

  /** @throws Counterexample */
  async run(maps: readonly HeaderMap[]): Promise<void> {
    const sent = maps.map((map) => this.#write(map))
    const lasting = sent.filter(({ map }) => !isLast(map))
    const last = sent.filter(({ map }) => isLast(map))
    const talks: (() => Promise<void>)[] = []
    for (let n = 0; n * DEPTH < lasting.length || n < last.length; n += 1) {
      const together = lasting.slice(n * DEPTH, (n + 1) * DEPTH)
      const end = last[n]
      talks.push(() => this.#talk(together, end))
    }
    const lane = async (): Promise<void> => {
      for (let talk = talks.shift(); talk !== undefined; talk = talks.shift()) await talk()
    }
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane))
    const failed = lanes.find((settled) => settled.status === 'rejected')
    try {
      if (failed !== undefined) throw failed.reason
      this.#judgeTheRest()
    } finally {
      this.#forget()
    }
  }

  /** What no test needs any more would fill the memory. */
  #forget(): void {
    const { cluster, responses, log, store } = this.#under
    for (const list of [cluster.requests, responses, log]) list.length = 0
    store.sessions.clear()
    store.frames.clear()
    this.#seen.clear()
  }

  #write(map: HeaderMap): Sent {
    this.#serial += 1
    const n = this.#serial
    const { bearer } = this.#under.ground.people
    const fill = (text: string): string =>
      text
        .replaceAll('{n}', String(n))
        .replaceAll('{bo64}', Buffer.from(bearer('bo').slice(7)).toString('base64url'))
        .replace(/\{(ana|bo|eve)\}/g, (_all, person: Person) => bearer(person))
    const hidden = fill(
      'GET /api/v1/namespaces/shop/secrets/h-{n} HTTP/1.1\r\nHost: x\r\nAuthorization: {eve}\r\n\r\n',
    )
    const framed = map.framing.frame(hidden)
    const lines = map.lines.map(({ text }) => text)
    lines.splice(map.at, 0, `Authorization: {${map.person}}`)
    const head = ['{start} HTTP/1.1', 'Host: gateway', ...map.road.lines, ...lines, ...framed.lines]
    const text = fill([...head, '', ''].join('\r\n').replace('{start}', map.road.start))
    return { n, map, bytes: text + framed.body }
  }

  /** Some together, and then the one behind which nothing can be sent. */
  async #talk(together: Sent[], end: Sent | undefined): Promise<void> {
    const socket = await this.#connection()
    if (together.length > 0) {
      const answers = await this.#exchange(socket, together)
      for (const [index, sent] of together.entries()) this.#judge(sent, answers[index])
    }
    if (end === undefined) {
      this.#idle.push(socket)
      return
    }
    const [only] = await this.#exchange(socket, [end])
    socket.destroy()
    this.#judge(end, only)
  }

  async #connection(): Promise<TLSSocket> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    const { port } = this.#under
    const session = this.#tlsSession
    const secureContext = this.#secureContext
    return await new Promise((resolve, reject) => {
      const socket: TLSSocket = connect(
        { host: '127.0.0.1', port, secureContext, ...(session === undefined ? {} : { session }) },
        () => resolve(socket),
      )
      socket.on('error', reject)
      socket.on('session', (ticket: Buffer) => (this.#tlsSession = ticket))
    })
  }

  /** The answers to all of them, or as many as came before the connection was closed. */
  async #exchange(socket: TLSSocket, sent: readonly Sent[]): Promise<RawResponse[]> {
    let received: Buffer = Buffer.alloc(0)
    let answers: RawResponse[] = []
    return await new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer)
        socket.off('data', onData).off('close', over)
        resolve(answers)
      }
      const onData = (chunk: Buffer): void => {
        received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
        answers = parseResponses(received).filter(({ code, complete }) => code !== 100 && complete)
        if (answers.length >= sent.length) over()
      }
      const timer = setTimeout(() => {
        const [first] = sent.slice(answers.length)
        if (first !== undefined) reject(this.#counterexample(first, 'no answer, and no end'))
      }, this.patienceMs)
      socket.on('data', onData).on('close', over)
      if (socket.closed) over()
      else socket.write(Buffer.from(sent.map(({ bytes }) => bytes).join(''), 'latin1'))
    })
  }

  #counterexample({ map, bytes }: Sent, what: string): Counterexample {
    const shown = bytes.length > 4000 ? `${bytes.slice(0, 2000)} ... ${bytes.slice(-1000)}` : bytes
    return new Counterexample(map, `${what}\nsent: ${JSON.stringify(shown)}`)
  }

  #fail(sent: Sent, seen: readonly Seen[], what: string): never {
    throw this.#counterexample(sent, `${what}; upstream: ${JSON.stringify(seen, null, 1)}`)
  }

  #judge(sent: Sent, response: RawResponse | undefined): void {
    const seen = this.#take(`m-${sent.n}`)
    const { isBroken } = sent.map.framing
    if (isBroken) this.#broken.set(`m-${sent.n}`, sent)
    const fail = (what: string): never => this.#fail(sent, seen, what)
    this.#judgeSeen(sent, seen)
    if (response === undefined) {
      if (!isLast(sent.map)) fail('the connection was closed without an answer')
      this.outcomes.cut += 1
    } else if (response.code === 101 || response.body.includes(`case m-${sent.n}`)) {
      if (!seen.some(({ isLookup }) => !isLookup)) fail('an answer to another request')
      if (sent.map.road.isClosed) fail('passed on a closed road')
      this.outcomes.passed += 1
      this.outcomes.roads.add(sent.map.road)
      return
    } else {
      const { code } = response
      if (code < 400 || code > 499) fail(`neither passed nor refused, but ${code}`)
      this.outcomes.refused += 1
    }
    if (seen.length > 0 && !isBroken) fail('refused, and yet sent on')
  }

  /** Whatever went upstream went as the one whose token it came with. */
  #judgeSeen(sent: Sent, seen: readonly Seen[]): void {
    const fail = (what: string): never => this.#fail(sent, seen, what)
    const user = this.#users.get(this.#personOf(sent) ?? ('nobody' as Person))
    for (const { isLookup, identity, trailers } of seen) {
      if (user === undefined) return fail('sent on without a good token')
      const marked = sent.map.road.isSession && !isLookup
      const wanted = identityLines(user, marked)
      if (!isDeepStrictEqual(identity, wanted)) {
        fail(`not the identity ${JSON.stringify(wanted)}`)
      }
      if (trailers.length > 0) fail('trailers were sent on')
    }
    const mains = seen.filter(({ isLookup }) => !isLookup).length
    // Exec is tried over the other wire when the first one is refused.
    if (mains > (sent.map.road.isUpgrade ? 2 : 1)) fail('sent on more than once')
  }

  /** Of several tokens the first one counts, as with every reader of Node's headers. */
  #personOf({ bytes }: Sent): Person | undefined {
    const head = bytes.slice(0, bytes.indexOf('\r\n\r\n'))
    const value = /\r\nauthorization:[ \t]*(.*?)[ \t]*(?:\r\n|$)/i.exec(head)?.[1]
    return this.#bearers.get(value ?? '')
  }

  /** Nothing may have come late, or from nowhere; what was hidden is a request of its own or none. */
  #judgeTheRest(): void {
    const eve = this.#users.get('eve')
    for (const [mark, seen] of this.#seen) {
      const broken = this.#broken.get(mark)
      if (broken !== undefined) {
        this.#judgeSeen(broken, seen)
        continue
      }
      const hidden = mark.startsWith('h-') && eve !== undefined ? identityLines(eve) : []
      if (seen.some(({ identity }) => !isDeepStrictEqual(identity, hidden))) {
        throw new Error(`upstream has seen what nobody sent: ${mark} ${JSON.stringify(seen)}`)
      }
    }
  }

  #take(mark: string): Seen[] {
    const seen = this.#seen.get(mark) ?? []
    this.#seen.delete(mark)
    return seen
  }

  #note(request: IncomingMessage, mark: string, isLookup: boolean): void {
    const { rawHeaders, url = '' } = request
    const lines: string[] = []
    for (let n = 0; n < rawHeaders.length; n += 2) {
      lines.push(`${rawHeaders[n]?.toLowerCase()}: ${rawHeaders[n + 1]}`)
    }
    const seen: Seen = { isLookup, identity: speakingOfIdentity(lines), url, trailers: [] }
    const before = this.#seen.get(mark)
    if (before === undefined) this.#seen.set(mark, [seen])
    else before.push(seen)
    request.once('end', () => seen.trailers.push(...request.rawTrailers))
  }

  #prepareCluster(): void {
    const { cluster } = this.#under
    cluster.intercept = (request, response, url) => {
      if (url.pathname.endsWith('/selfsubjectaccessreviews')) {
        void this.#review(request, response)
        return true
      }
      const mark = /\b[mh]-\d+/.exec(request.url ?? '')?.[0]
      if (mark === undefined) return false
      const lookup = /\/(pods|services)\/[mh]-\d+$/.exec(url.pathname)?.[1]
      this.#note(request, mark, lookup !== undefined)
      if (lookup === 'pods') {
        const { metadata, ...rest } = pod('uid-1')
        json(response, 200, { metadata: { ...metadata, name: mark }, ...rest })
      } else if (lookup === 'services') {
        const metadata = { name: mark, namespace: 'shop' }
        json(response, 200, { metadata, spec: { ports: [{ name: 'http', port: 80 }] } })
      } else {
        request.resume()
        request.once('end', () => response.end(`case ${mark}`))
      }
      return true
    }
    cluster.upgrade = (socket, request, head) => {
      const mark = /\b[mh]-\d+/.exec(request.url ?? '')?.[0] ?? 'nowhere'
      this.#note(request, mark, false)
      const status = { kind: 'Status', reason: 'Conflict', code: 409, message: `case ${mark}` }
      return answer(409, status)(socket, request, head)
    }
  }

  async #review(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBytes(request)
    const { spec } = JSON.parse(body.toString()) as {
      spec: { resourceAttributes: { name: string } }
    }
    this.#note(request, /[mh]-\d+/.exec(spec.resourceAttributes.name)?.[0] ?? 'nowhere', true)
    json(response, 201, { status: { allowed: true } })
  }
}

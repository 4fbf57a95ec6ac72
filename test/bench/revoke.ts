/**
 * How long somebody who is revoked can still type: from the command at one replica until both have
 * ended what runs. A byte goes there and back without pause on each, all the time.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { readTokens } from '../../lib/cli/token-cache.ts'
import { CLIENT_ID, issuerOf } from '../../lib/cli/sign-in/gateway-oauth.ts'
import { createHttpsFetch } from '../../lib/https/https-fetch.ts'
import { signInAtGateway } from '../../lib/sandbox/sign-in.ts'
import type { Bed } from './bed.ts'
import { openExec, type ExecSocket } from './exec-socket.ts'
import { atMost, type Findings, Notebook } from './measurement.ts'
import { startReplica } from '../e2e/support/replica.ts'
import { summarize } from './statistics.ts'

const KEY = Uint8Array.of(0x0a)
const LIMIT_MS = 1000

interface Place {
  name: string
  url: string
}

interface Typing {
  /** When the last byte that came through was sent. */
  lastSent(): number
  /** When the session was over. */
  ended: Promise<number>
}

function type(socket: ExecSocket): Typing {
  let last = performance.now()
  const ended = (async (): Promise<number> => {
    for (;;) {
      const at = performance.now()
      try {
        await socket.roundTrip(KEY)
      } catch {
        return performance.now()
      }
      last = at
    }
  })()
  return { lastSent: () => last, ended }
}

/** Everybody's hands: ana types, bo revokes. */
async function openHands(bed: Bed): Promise<{
  signIn(person: 'ana' | 'bo'): Promise<string>
  revoke(token: string, login: string): Promise<void>
  loginOf(token: string): Promise<string>
}> {
  const { json, folder } = bed.sandbox
  const ca = await readFile(json.gateway.caFile, 'utf8')
  const known = JSON.parse(await readFile(folder.passwords, 'utf8')) as Record<
    string,
    { password: string }
  >
  const fetch = createHttpsFetch({ ca })
  const api = `${json.gateway.url}/podgate/v1alpha1`
  return {
    async signIn(person) {
      const cacheFile = join(folder.tokens, `bench-${person}.json`)
      const { issuer } = json.oidc
      const address = { server: json.gateway.url, ca }
      const password = known[person]?.password ?? ''
      await signInAtGateway({ address, issuer, name: person, password, cacheFile })
      const tokens = await readTokens(cacheFile, issuerOf(json.gateway.url), CLIENT_ID)
      return tokens?.token ?? ''
    },
    async loginOf(token) {
      const headers = { authorization: `Bearer ${token}` }
      const answer = await fetch(`${api}/whoami`, { method: 'GET', headers })
      const { credential } = (await answer.json()) as { credential: { login: string } }
      return credential.login
    },
    async revoke(token, login) {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const body = JSON.stringify({ kind: 'Login', id: login })
      const answer = await fetch(`${api}/revocations`, { method: 'POST', headers, body })
      if (answer.status !== 201) throw new Error(`revoking answered HTTP ${answer.status}`)
    },
  }
}

export async function measureRevoke(bed: Bed, times: number): Promise<Findings> {
  const notes = new Notebook('revoke')
  const replica = await startReplica(bed.sandbox)
  try {
    const hands = await openHands(bed)
    const admin = await hands.signIn('bo')
    const places: Place[] = [
      { name: 'where it was said', url: bed.routes.gateway.url },
      { name: 'at the other replica', url: replica.url },
    ]
    for (let turn = 0; turn < times; turn += 1) {
      const token = await hands.signIn('ana')
      const login = await hands.loginOf(token)
      const typings: Typing[] = []
      for (const { url } of places) {
        const headers = { authorization: `Bearer ${token}` }
        const { socket } = await openExec({ ...bed.routes.gateway, url, headers }, ['cat'])
        await socket.roundTrip(KEY)
        typings.push(type(socket))
      }
      const begin = performance.now()
      await hands.revoke(admin, login)
      for (const [index, { lastSent, ended }] of typings.entries()) {
        const endedAt = await ended
        const { name } = places[index] ?? { name: '' }
        notes
          .of('gateway', `last byte that came through, ${name}`, 'ms')
          .push(Math.max(0, lastSent() - begin))
        notes.of('gateway', `session over, ${name}`, 'ms').push(endedAt - begin)
      }
    }
  } finally {
    await replica.close()
  }
  const worst = Math.max(...notes.series.map(({ samples }) => summarize(samples).p99))
  return {
    series: notes.series,
    bars: [atMost('revoked to ended, p99, the slower of two replicas', worst, LIMIT_MS)],
  }
}

/**
 * Nothing that signs somebody in is ever written down where it can be read: tokens, codes, cookies,
 * assertions, of good sign-ins and of abused ones, against everything that the gateways say at their
 * lowest level, store and count, and what the API server's audit log has of them.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { textAt } from '../../lib/cli/json-value.ts'
import { openGatewayOAuth } from '../../lib/cli/sign-in/gateway-oauth.ts'
import { createHttpsFetch } from '../../lib/https/https-fetch.ts'
import { signIn as signInAtProvider } from '../../lib/sandbox/sign-in.ts'
import { createSamlKeys, type SamlKeys } from '../fakes/saml-idp.ts'
import { askedOf, formFor, IDP } from '../integration/identity/saml-bed.ts'
import { authorizeUrl, REDIRECT, VERIFIER } from '../integration/sign-in/asking-command.ts'
import { Browser, fieldOf, type Page } from '../integration/sign-in/browser.ts'
import { startReplica, type Replica } from './support/replica.ts'
import { COLD_START_MS, openShop, type Shop } from './support/shop.ts'

const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

let shop: Shop
/** With a SAML provider beside the sandbox's own. */
let replica: Replica
let keys: SamlKeys
let ca: string
let password: string

/** Each by what it is; the same kind may be there many times. */
const secrets: { what: string; text: string }[] = []

function keep(what: string, ...texts: (string | null | undefined)[]): void {
  for (const text of texts) {
    expect(text ?? '').not.toHaveLength(0)
    secrets.push({ what, text: text ?? '' })
  }
}

function metadataOf({ certificate }: SamlKeys): string {
  const der = certificate.replace(/-----[^-]+-----|\s/g, '')
  return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${IDP}">
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>
<X509Certificate>${der}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/>
</IDPSSODescriptor></EntityDescriptor>`
}

beforeAll(async () => {
  shop = await openShop()
  const { json, folder } = shop.sandbox
  ca = await readFile(json.gateway.caFile, 'utf8')
  const known = JSON.parse(await readFile(folder.passwords, 'utf8')) as {
    ana: { password: string }
  }
  ;({ password } = known.ana)
  keys = await createSamlKeys()
  const metadataFile = join(folder.root, 'gateway', 'saml.xml')
  await writeFile(metadataFile, metadataOf(keys))
  replica = await startReplica(shop.sandbox, (config, url) => {
    config.logLevel = 'debug'
    config.signIn.url = url
    config.signIn.providers.push({ name: 'staff', saml: { metadataFile } })
  })
}, COLD_START_MS)

afterAll(async () => {
  await replica.close()
  await shop.close()
}, 60_000)

/** What the token endpoint answers, good or bad. */
async function ask(url: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const answer = await createHttpsFetch({ ca })(`${url}/podgate/sign-in/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ client_id: 'podgate-cli', ...form }),
  })
  return (await answer.json()) as Record<string, unknown>
}

async function redeem(url: string, code: string, verifier = VERIFIER) {
  return await ask(url, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT,
  })
}

function keepTokens(answer: Record<string, unknown>): void {
  keep('an access token', textAt(answer, 'access_token'))
  const refresh = textAt(answer, 'refresh_token')
  if (refresh !== undefined) keep('a refresh token', refresh)
}

/** Whatever a browser brought home of the gateway: its own cookies, and codes in addresses. */
function keepTrail({ trail, given }: Browser): void {
  keep('a cookie', ...given.filter((value) => value.startsWith('podgate_bs_')))
  for (const { searchParams } of trail) {
    const code = searchParams.get('code')
    if (code !== null) keep('a code', code)
  }
}

async function withBrowser(): Promise<void> {
  const { url } = shop.sandbox.json.gateway
  const oauth = await openGatewayOAuth({ server: url, ca }, {})
  const good = new Browser(ca)
  const start = await authorizeUrl(oauth)
  const arrival = await good.signIn(await good.go(start), 'ana', password)
  const code = arrival.url.searchParams.get('code') ?? ''
  keepTokens(await redeem(url, code))
  keepTrail(good)
  keep('a verifier', VERIFIER)
  // Used twice, with another verifier, refused by the person, and brought by a browser that did not begin.
  expect(await redeem(url, code)).toMatchObject({ error: 'invalid_grant' })
  const second = new Browser(ca)
  const next = await second.signIn(await second.go(start), 'ana', password)
  const wasted = next.url.searchParams.get('code') ?? ''
  expect(await redeem(url, wasted, 'w'.repeat(43))).toMatchObject({ error: 'invalid_grant' })
  keepTrail(second)
  const refused = new Browser(ca)
  await refused.signIn(await refused.go(start), 'ana', password, 'no')
  keepTrail(refused)
  const callback = good.trail.find(({ pathname }) => pathname.endsWith('/callback'))
  for (const who of [good, new Browser(ca)]) expect((await who.go(callback ?? '')).code).toBe(401)
}

async function withDevice(): Promise<void> {
  const { url } = shop.sandbox.json.gateway
  const { client, config } = await openGatewayOAuth({ server: url, ca }, {})
  const started = await client.initiateDeviceAuthorization(config, {})
  const { device_code: deviceCode, user_code: userCode } = started
  keep('a device code', deviceCode)
  keep('a user code', userCode, userCode.replace('-', ''))
  const browser = new Browser(ca)
  const asked = await browser.go(`${url}/podgate/sign-in/verify`, { user_code: userCode })
  const question: Page = await browser.signIn(asked, 'ana', password)
  const csrf = fieldOf(question, 'csrf')
  keep('a word of a form', csrf)
  const poll = { grant_type: DEVICE_GRANT, device_code: deviceCode }
  expect(await ask(url, poll)).toMatchObject({ error: 'authorization_pending' })
  expect((await new Browser(ca).go(`${url}/podgate/sign-in/confirm`, { csrf })).code).toBe(401)
  await browser.go(`${url}/podgate/sign-in/confirm`, { csrf, answer: 'yes' })
  keepTokens(await ask(url, poll))
  expect(await ask(url, poll)).toMatchObject({ error: 'expired_token' })
  keepTrail(browser)
}

async function withToken(): Promise<void> {
  const { json, folder } = shop.sandbox
  const cacheFile = join(folder.tokens, 'canary.json')
  const { issuer } = json.oidc
  await signInAtProvider({ issuer, ca, name: 'ana', password, cacheFile })
  const { token } = JSON.parse(await readFile(cacheFile, 'utf8')) as { token: string }
  keep('an ID token', token, token.split('.')[2])
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  }
  keepTokens(await ask(json.gateway.url, { ...form, subject_token: token }))
  for (const bad of [`${token}x`, token.slice(0, -40)]) {
    const answer = await ask(json.gateway.url, { ...form, subject_token: bad })
    expect(answer).toMatchObject({ error: 'invalid_grant' })
  }
}

async function withSaml(): Promise<void> {
  const { url } = replica
  const base = `${url}/podgate/sign-in/saml/staff`
  const oauth = await openGatewayOAuth({ server: url, ca }, {})
  const begin = async (): Promise<{ browser: Browser; form: Record<string, string> }> => {
    const browser = new Browser(ca)
    browser.stopAt = /idp\.example/
    const asked = askedOf((await browser.go(await authorizeUrl(oauth, { provider: 'staff' }))).url)
    return { browser, form: formFor(keys, base, asked) }
  }
  const post = async (who: Browser, form: Record<string, string>): Promise<Page> => {
    const xml = Buffer.from(form['SAMLResponse'] ?? '', 'base64').toString()
    // Its tags, not what stands in them: addresses and classes of a sign-in are no secrets.
    const markup = new Set(xml.match(/<\/?saml:\w+/g))
    keep('an assertion', form['SAMLResponse'], /SignatureValue>([^<]+)</.exec(xml)?.[1], ...markup)
    return await who.go(`${base}/acs`, form)
  }
  const good = await begin()
  const arrival = await post(good.browser, good.form)
  keepTokens(await redeem(url, arrival.url.searchParams.get('code') ?? ''))
  // Once more, in another browser, changed on its way, and not in base64 at all.
  expect((await post(good.browser, good.form)).code).toBe(401)
  expect((await post(new Browser(ca), good.form)).code).toBe(401)
  const forgeries: ((xml: string) => string)[] = [
    (xml) => xml.replace('>dev<', '>ops<'),
    (xml) => xml.replace('</samlp:Response>', ''),
  ]
  for (const forge of forgeries) {
    const { browser, form } = await begin()
    const xml = forge(Buffer.from(form['SAMLResponse'] ?? '', 'base64').toString())
    const forged = { ...form, SAMLResponse: Buffer.from(xml).toString('base64') }
    const { searchParams } = (await post(browser, forged)).url
    expect(searchParams.get('error')).toBe('access_denied')
    keepTrail(browser)
  }
  keepTrail(good.browser)
}

/** Begun and left, so that what has to be remembered of it is in the store when it is read. */
async function halfWay(): Promise<void> {
  const { url } = shop.sandbox.json.gateway
  const oauth = await openGatewayOAuth({ server: url, ca }, {})
  const away = new Browser(ca)
  await away.go(await authorizeUrl(oauth))
  keepTrail(away)
  const back = new Browser(ca)
  const { url: arrival } = await back.signIn(
    await back.go(await authorizeUrl(oauth)),
    'ana',
    password,
  )
  keep('a code', arrival.searchParams.get('code'))
  keepTrail(back)
  const { client, config } = oauth
  const started = await client.initiateDeviceAuthorization(config, {})
  keep('a device code', started.device_code)
  keep('a user code', started.user_code, started.user_code.replace('-', ''))
}

/** In places where they do not belong. */
async function misplaced(): Promise<void> {
  const fetch = createHttpsFetch({ ca })
  // One of each kind: an address that brings hundreds is refused by the limit, unread.
  const each = new Map(secrets.map(({ what, text }) => [what, text]))
  for (const text of each.values()) {
    const word = encodeURIComponent(text)
    for (const { url } of [shop.sandbox.json.gateway, replica]) {
      // None that lets in: what goes on to the API server is in its audit log with its address.
      const headers = { authorization: `Bearer ${word}x`, cookie: `__Host-podgate-x=${word}` }
      const paths = [`api/v1/pods?x=${word}`, `podgate/sign-in/callback?state=${word}&code=${word}`]
      for (const path of paths) await fetch(`${url}/${path}`, { method: 'GET', headers })
      await ask(url, { grant_type: text.slice(0, 500), refresh_token: text, code: text })
    }
  }
}

/** Everything that outlives a sign-in. */
async function readSinks(): Promise<Record<string, string>> {
  const { json, gateway, cluster } = shop.sandbox
  const database = shop.mongo.db(json.mongodb.database)
  const collections = await database.listCollections().toArray()
  const stored = await Promise.all(
    collections.map(async ({ name }) =>
      JSON.stringify(await database.collection(name).find({}).toArray()),
    ),
  )
  return {
    'log of the gateway': await readFile(gateway.logFile, 'utf8'),
    'log of its replica': await readFile(replica.logFile, 'utf8'),
    'audit log of the API server': await readFile(cluster.auditLog ?? '', 'utf8'),
    'metrics of the gateway': await (await fetch(json.metrics)).text(),
    'metrics of its replica': await (await fetch(replica.metricsUrl)).text(),
    store: stored.join('\n'),
  }
}

const PIECE = 20
const MOST_PIECES = 60

/** Pieces of all of it that is random, plain and as base64: whoever writes a part of it is found, too. */
function piecesOf(secret: string): string[] {
  const bare = secret.replace(/^podgate_[a-z]{2}_(?:l-\w+\.)?/, '')
  const step = Math.max(PIECE, Math.ceil(bare.length / MOST_PIECES))
  const pieces: string[] = []
  for (let at = 0; at + PIECE <= bare.length; at += step) pieces.push(bare.slice(at, at + PIECE))
  const whole = Buffer.from(secret).toString('base64').slice(0, 200)
  return [...pieces, bare.slice(-PIECE), encodeURIComponent(bare).slice(-PIECE), whole]
}

describe('what signs somebody in', () => {
  it('is found in no log, no record and no figure', async () => {
    await withBrowser()
    await withDevice()
    await withToken()
    await withSaml()
    await halfWay()
    await misplaced()
    // Misplaced codes are spent: these stay.
    await halfWay()
    const kinds = new Set(secrets.map(({ what }) => what))
    expect([...kinds].toSorted()).toEqual([
      'a code',
      'a cookie',
      'a device code',
      'a refresh token',
      'a user code',
      'a verifier',
      'a word of a form',
      'an ID token',
      'an access token',
      'an assertion',
    ])
    const sinks = await readSinks()
    // What happened was told: they are not silent, they leave something out.
    for (const log of ['log of the gateway', 'log of its replica']) {
      expect(sinks[log]).toMatch(/"message":"signed in"/)
      expect(sinks[log]).toMatch(/"message":"sign-in failed"/)
    }
    expect(sinks['store']).toContain('"wrapped"')
    const found = Object.entries(sinks).flatMap(([sink, content]) =>
      secrets
        .filter(({ text }) => piecesOf(text).some((piece) => content.includes(piece)))
        .map(({ what }) => `${what} in the ${sink}`),
    )
    expect([...new Set(found)]).toEqual([])
  }, 180_000)
})

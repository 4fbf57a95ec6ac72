/**
 * The codes that stand for a finished sign-in until the command line takes its tokens: the
 * authorization code of a browser on the same machine, and the pair of codes of a device flow
 * (RFC 8628). Each is good for one use, and what lies behind it can be read only with it.
 */
import { createHash, randomInt } from 'node:crypto'

import { GatewayError } from '../errors/gateway-error.ts'
import {
  digestOf,
  isWellFormed,
  newLetterBox,
  newToken,
  openLetter,
  postLetter,
} from '../identity/gateway-token.ts'
import type { ClientFacts, LoginStore } from '../identity/login-store.ts'
import type { SignedIn } from '../identity/oidc-sign-in.ts'
import { createSealedPending } from './sealed-pending.ts'

export interface Finished {
  provider: string
  signedIn: SignedIn
  command: ClientFacts
}

/** RFC 6749 4.1.2 advises ten minutes at most; the command is waiting for it. */
const CODE_MS = 60_000
export const DEVICE_MS: number = 10 * 60_000
/** RFC 8628 6.1: consonants, so that no words come out, and none that look alike. */
const USER_CODE_LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const USER_CODE = /^[BCDFGHJKLMNPQRSTVWXZ]{8}$/

/** Of the device flow, as RFC 8628 3.5 names them. */
export type DevicePoll = 'authorization_pending' | 'access_denied' | 'expired_token'

export interface StartedDevice {
  deviceCode: string
  /** As people read it: `BDWP-HQPK`. */
  userCode: string
}

export interface OpenDevice {
  command: ClientFacts
  publicKey: string
  /** Names the device flow in the store. */
  device: string
  acr: readonly string[]
  fresh: boolean
}

export interface Codes {
  issueCode(finished: Finished, challenge: string, redirectUri: string): Promise<string>
  /** @throws GatewayError Unauthorized */
  redeemCode(code: string, verifier: string, redirectUri: string): Promise<Finished>
  startDevice(
    command: ClientFacts,
    freshness: Pick<OpenDevice, 'acr' | 'fresh'>,
  ): Promise<StartedDevice>
  findDevice(userCode: string): Promise<OpenDevice | undefined>
  /** False: it is no longer open. `finished` undefined: the person has refused. */
  answerDevice(
    device: Pick<OpenDevice, 'publicKey' | 'device'>,
    finished: Finished | undefined,
  ): Promise<boolean>
  pollDevice(deviceCode: string): Promise<Finished | DevicePoll>
}

type Store = Pick<LoginStore, 'putPending' | 'getPending' | 'takePending' | 'settlePending'>

interface CodeData {
  finished: Finished
  challenge: string
  redirectUri: string
}

interface DeviceData {
  wrappedPrivateKey: string
  letter?: string
}

function userCodeId(userCode: string): string {
  return createHash('sha256').update(`user code ${userCode}`).digest('base64url')
}

/** `bdwp hqpk` and `BDWP-HQPK` are one. */
export function normalUserCode(text: string): string | undefined {
  const code = text.toUpperCase().replace(/[^A-Z]/g, '')
  return USER_CODE.test(code) ? code : undefined
}

export function spacedUserCode(code: string): string {
  return `${code.slice(0, 4)}-${code.slice(4)}`
}

function invalid(): GatewayError {
  return new GatewayError(
    'Unauthorized',
    'the code is not known, was used already, or is over; start the sign-in again',
    { id: 1457 },
  )
}

export function createCodes(store: Store, now: () => number): Codes {
  const isOver = (at: Date): boolean => at.getTime() <= now()
  const pending = createSealedPending<CodeData>('Code', CODE_MS, store, now)
  return {
    async issueCode(finished, challenge, redirectUri) {
      return await pending.seal({ finished, challenge, redirectUri })
    },

    async redeemCode(code, verifier, redirectUri) {
      // Taken before it is looked at: a wrong verifier costs the code (RFC 7636 7.1).
      const data = await pending.open(code)
      const challenge = createHash('sha256').update(verifier).digest('base64url')
      if (challenge !== data?.challenge || redirectUri !== data.redirectUri) throw invalid()
      return data.finished
    },

    async startDevice(command, { acr, fresh }) {
      const deviceCode = newToken('device')
      const device = digestOf(deviceCode)
      const box = newLetterBox(deviceCode)
      const userCode = Array.from({ length: 8 }, () =>
        USER_CODE_LETTERS.charAt(randomInt(USER_CODE_LETTERS.length)),
      ).join('')
      const expiresAt = new Date(now() + DEVICE_MS)
      const secret: DeviceData = { wrappedPrivateKey: box.wrappedPrivateKey.toString('base64') }
      const open: OpenDevice = {
        command,
        publicKey: box.publicKey.toString('base64'),
        device,
        acr,
        fresh,
      }
      const common = { expiresAt, state: 'Open' } as const
      await store.putPending({
        _id: device,
        kind: 'Device',
        data: JSON.stringify(secret),
        ...common,
      })
      await store.putPending({
        _id: userCodeId(userCode),
        kind: 'UserCode',
        data: JSON.stringify(open),
        ...common,
      })
      return { deviceCode, userCode: spacedUserCode(userCode) }
    },

    async findDevice(userCode) {
      const code = normalUserCode(userCode)
      const found = code === undefined ? undefined : await store.getPending(userCodeId(code))
      if (found?.kind !== 'UserCode' || isOver(found.expiresAt)) return undefined
      const open = JSON.parse(found.data) as OpenDevice
      const flow = await store.getPending(open.device)
      return flow?.state === 'Open' ? open : undefined
    },

    async answerDevice({ publicKey, device }, finished) {
      const found = await store.getPending(device)
      if (found?.kind !== 'Device' || isOver(found.expiresAt)) return false
      if (finished === undefined) return await store.settlePending(device, 'Refused', found.data)
      const letter = postLetter(Buffer.from(publicKey, 'base64'), JSON.stringify(finished))
      const data: DeviceData = {
        ...(JSON.parse(found.data) as DeviceData),
        letter: letter.toString('base64'),
      }
      return await store.settlePending(device, 'Done', JSON.stringify(data))
    },

    async pollDevice(deviceCode) {
      if (!isWellFormed('device', deviceCode)) return 'expired_token'
      const device = digestOf(deviceCode)
      const found = await store.getPending(device)
      if (found?.kind !== 'Device' || isOver(found.expiresAt)) return 'expired_token'
      if (found.state === 'Open') return 'authorization_pending'
      const taken = await store.takePending(device)
      if (taken === undefined) return 'expired_token'
      const { wrappedPrivateKey, letter } = JSON.parse(taken.data) as DeviceData
      if (taken.state === 'Refused' || letter === undefined) return 'access_denied'
      const box = { wrappedPrivateKey: Buffer.from(wrappedPrivateKey, 'base64') }
      return JSON.parse(openLetter(deviceCode, box, Buffer.from(letter, 'base64'))) as Finished
    },
  }
}

/** What the sandbox's identity provider signs with. The first key signs; all of them are published. */
import { generateKeyPair, randomBytes, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'

export interface ProviderKeys {
  signing: readonly object[]
  cookies: readonly string[]
}

export async function createKeys(): Promise<ProviderKeys> {
  return {
    signing: [await createSigningKey()],
    cookies: [randomBytes(32).toString('base64url')],
  }
}

export async function rotate(keys: ProviderKeys, keepOld: boolean): Promise<ProviderKeys> {
  const fresh = await createSigningKey()
  return { ...keys, signing: keepOld ? [fresh, ...keys.signing] : [fresh] }
}

async function createSigningKey(): Promise<object> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' }
}

/** Signs one of the sandbox's people in again, with their password, as their browser would. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { signInAtGateway } from '../../../lib/sandbox/sign-in.ts'
import type { Shop } from './shop.ts'

export async function signInAgain(shop: Shop, name: 'ana' | 'bo' | 'cy' | 'dpo'): Promise<void> {
  const { json, folder } = shop.sandbox
  const known = JSON.parse(await readFile(folder.passwords, 'utf8')) as Record<
    string,
    { password: string }
  >
  await signInAtGateway({
    address: { server: json.gateway.url, ca: await readFile(json.gateway.caFile, 'utf8') },
    issuer: json.oidc.issuer,
    name,
    password: known[name]?.password ?? '',
    cacheFile: join(folder.tokens, `${name}.json`),
  })
}

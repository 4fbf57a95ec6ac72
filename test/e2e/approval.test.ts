/** Asking, approving, refusing and replaying, by the programs people use. */
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'

import { inTerminal, run } from './support/kubectl.ts'
import {
  COLD_START_MS,
  eventually,
  getAnonymously,
  openShop,
  pendingRequests,
  type Shop,
} from './support/shop.ts'

let shop: Shop

beforeAll(async () => {
  shop = await openShop()
}, COLD_START_MS)

afterAll(async () => {
  await shop.close()
}, 60_000)

const WEB = ['-n', 'shop', 'exec', 'web-0', '--']

async function onlyPending(): Promise<string> {
  const [name] = await eventually('a pending request', async () => {
    const names = await pendingRequests(shop)
    return names.length === 1 && names
  })
  if (name === undefined) throw new Error('no pending request')
  return name
}

async function settle(name: string): Promise<void> {
  await shop.approve('bo', ['deny', name, '--reason', 'test over', '-n', 'shop'])
}

describe('a script', () => {
  it('is told at once, makes one request for both of kubectl’s tries, and runs after the approval, once', async () => {
    const command = [...WEB, 'sh', '-c', 'echo approved; exit 3']
    const refused = await shop.ana(command)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/Error from server \(Forbidden\): .*PODGATE-1004/)
    const name = await onlyPending()
    expect(refused.stderr).toContain(`kubectl wait --for=condition=Approved apreq/${name} -n shop`)

    const listed = await shop.approve('bo', [])
    expect(listed.stdout).toContain(name)
    const approved = await shop.approve('bo', [name, '--reason', 'INC-1234', '-n', 'shop'])
    expect(approved).toMatchObject({ code: 0 })
    expect(approved.stdout).toContain(`${name} approved`)
    const waited = await shop.ana([
      'wait',
      '-n',
      'shop',
      '--for=condition=Approved',
      `apreq/${name}`,
      '--timeout=10s',
    ])
    expect(waited.code).toBe(0)

    expect(await shop.ana(command)).toMatchObject({ code: 3, stdout: 'approved\n' })
    const again = await shop.ana(command)
    expect(again.stderr).toContain('PODGATE-1004')
    expect(again.stderr).not.toContain(name)
    await settle(await onlyPending())
  })

  it('I9: an approval is good for its own command only', async () => {
    await shop.ana([...WEB, 'echo', 'one'])
    const name = await onlyPending()
    await shop.approve('bo', [name, '--reason', 'INC-1', '-n', 'shop'])
    const other = await shop.ana([...WEB, 'echo', 'two'])
    expect(other.stderr).toContain('PODGATE-1004')
    await settle(await onlyPending())
    expect(await shop.ana([...WEB, 'echo', 'one'])).toMatchObject({ code: 0, stdout: 'one\n' })
  })

  it('is told who denied, and why', async () => {
    await shop.ana([...WEB, 'id'])
    const name = await onlyPending()
    const denied = await shop.approve('bo', [
      'deny',
      name,
      '--reason',
      'use the replica',
      '-n',
      'shop',
    ])
    expect(denied.stdout).toContain(`${name} denied`)
    const late = await shop.approve('cy', [name, '--reason', 'but I', '-n', 'shop'])
    expect(late.code).not.toBe(0)
  })
})

describe('nobody approves for themselves or without being asked', () => {
  it('not the requester, who is on call too', async () => {
    await shop.bo([...WEB, 'id'])
    const name = await onlyPending()
    const own = await shop.approve('bo', [name, '--reason', 'me', '-n', 'shop'])
    expect(own.code).toBe(5)
    await shop.approve('cy', ['deny', name, '--reason', 'test over', '-n', 'shop'])
  })

  it('not somebody in no approver group, and not by editing the status', async () => {
    await shop.ana([...WEB, 'id'])
    const name = await onlyPending()
    expect((await shop.approve('dpo', [name, '--reason', 'x', '-n', 'shop'])).code).toBe(5)
    const patch = JSON.stringify({
      status: {
        decisions: [
          {
            approver: 'bo',
            groups: ['oncall', 'system:authenticated'],
            verdict: 'Approve',
            time: '2026-01-01T00:00:00Z',
          },
        ],
      },
    })
    const args = [
      'patch',
      '-n',
      'shop',
      'apreq',
      name,
      '--subresource=status',
      '--type=merge',
      '-p',
      patch,
    ]
    for (const person of [shop.ana, shop.cy, shop.admin]) {
      const forged = await person(args)
      expect(forged.code).not.toBe(0)
      expect(forged.stderr).toMatch(/forbidden|denied|Forbidden/)
    }
    await settle(name)
  })
})

describe('a terminal', () => {
  const shell = (): string[] => [
    shop.sandbox.json.kubectl,
    `--kubeconfig=${shop.sandbox.json.users.ana.kubeconfig}`,
    '-n',
    'shop',
    'exec',
    '-it',
    'web-0',
    '--',
    'sh',
  ]

  it('waits in place, is let in, sees masked output, keeps the exit code, and can be replayed', async () => {
    let decided: Promise<unknown> | undefined
    let typed = false
    const result = await inTerminal(shell(), {
      onOutput(text, child) {
        const name = /waiting for approval of (apreq-\w+)/.exec(text)?.[1]
        if (name !== undefined)
          decided ??= shop.approve('bo', [name, '--reason', 'INC-7', '-n', 'shop'])
        if (text.includes('/ #') && !typed) {
          typed = true
          child.stdin.write('head -2 /data/customers.csv; stty size; exit 7\n')
        }
      },
    })
    await decided
    expect(result.code).toBe(7)
    expect(result.stdout).toContain('approved by bo: "INC-7"')
    expect(result.stdout).toContain('Alice Example')
    expect(result.stdout).not.toMatch(/alice@example|4111 1111/)

    const id = /recorded as (s-\w+)/.exec(result.stdout)?.[1] ?? ''
    for (const person of ['ana', 'dpo'] as const) {
      const replay = await shop.podgate(person, ['replay', id, '--speed', '0'])
      expect(replay).toMatchObject({ code: 0 })
      expect(replay.stdout).toContain('Alice Example')
      expect(replay.stdout).not.toContain('alice@example')
    }
    expect((await shop.podgate('bo', ['replay', id])).code).not.toBe(0)
    const listed = await shop.podgate('dpo', ['sessions', '-o', 'json'])
    expect(listed.stdout).toContain(id)
    expect(listed.stdout).toContain('INC-7')
  })

  it('gives up on Ctrl-C, and the request with it', async () => {
    let sent = false
    const result = await inTerminal(shell(), {
      onOutput(text, child) {
        if (sent || !text.includes('waiting for approval')) return
        sent = true
        child.stdin.write('\u0003')
      },
    })
    expect(result.code).toBe(1)
    expect(result.stdout).toContain('PODGATE-1009')
    const names = await pendingRequests(shop)
    expect(names).toEqual([])
  })

  it('is told who denied, and nothing was run', async () => {
    let decided: Promise<unknown> | undefined
    const result = await inTerminal(shell(), {
      onOutput(text) {
        const name = /waiting for approval of (apreq-\w+)/.exec(text)?.[1]
        if (name !== undefined)
          decided ??= shop.approve('bo', [
            'deny',
            name,
            '--reason',
            'use the replica',
            '-n',
            'shop',
          ])
      },
    })
    await decided
    expect(result.code).toBe(1)
    expect(result.stdout).toContain('was denied by bo: "use the replica"')
  })

  it('waits over SPDY as well', async () => {
    let decided: Promise<unknown> | undefined
    const result = await inTerminal([...shell().slice(0, -1), 'sh', '-c', 'exit 4'], {
      env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' },
      onOutput(text) {
        const name = /waiting for approval of (apreq-\w+)/.exec(text)?.[1]
        if (name !== undefined)
          decided ??= shop.approve('bo', [name, '--reason', 'INC-8', '-n', 'shop'])
      },
    })
    await decided
    expect(result.code).toBe(4)
  })
})

describe('the way round', () => {
  it.each([
    ['exec', ['exec', 'web-0', '--', 'id']],
    ['attach', ['attach', 'web-0']],
    ['port-forward', ['port-forward', 'web-0', '0:80']],
  ])("is closed for the admin's own certificate: %s", async (_name, args) => {
    const result = await shop.admin(['-n', 'shop', ...args])
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain('podgate-exec-through-gateway')
  })

  it('is closed for the session extra that somebody else sets', async () => {
    const result = await shop.ana([
      '-n',
      'shop',
      'exec',
      'web-0',
      '--as=ana',
      '--as-user-extra=podgate.dev/session=x',
      '--',
      'id',
    ])
    expect(result.code).not.toBe(0)
  })
})

describe('sign-in', () => {
  const server = (): string[] => [
    `--server=${shop.sandbox.json.gateway.url}`,
    `--certificate-authority=${shop.sandbox.json.gateway.caFile}`,
    '--kubeconfig=/dev/null',
  ]

  it.each([
    ['a token of nobody', ['--token=abc'], 'PODGATE-1402'],
    ['an expired token', [`--token=${expiredToken()}`], 'PODGATE-140'],
  ])('%s is refused in words', async (_name, args, words) => {
    const path = '/api/v1/namespaces/shop/pods/web-0'
    const result = await run(shop.sandbox.json.kubectl, [
      ...server(),
      ...args,
      'get',
      '--raw',
      path,
    ])
    expect(result.code).not.toBe(0)
    expect(result.stderr).toContain(words)
  })

  it('no token at all is refused in words', async () => {
    const { url, caFile } = shop.sandbox.json.gateway
    const answer = await getAnonymously(`${url}/api/v1/pods`, await readFile(caFile, 'utf8'))
    expect(JSON.parse(answer)).toMatchObject({
      kind: 'Status',
      code: 401,
      reason: 'Unauthorized',
    })
  })

  it('a wrong CA is noticed by kubectl', async () => {
    const other = [
      '--server',
      shop.sandbox.json.gateway.url,
      '--kubeconfig=/dev/null',
      '--token=abc',
    ]
    const result = await run(shop.sandbox.json.kubectl, [...other, 'get', 'pods'])
    expect(result.stderr).toMatch(/certificate signed by unknown authority/)
  })
})

/** Well-formed, of nobody's key, long over. */
function expiredToken(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256', kid: 'x' })}.${part({ iss: 'https://127.0.0.1', exp: 1 })}.AAAA`
}

it('I4: the API server saw ana with the session as her extra, and the gateway only as the one who asks', async () => {
  const result = await shop.ana(['-n', 'shop', 'exec', 'tools-0', '--', 'echo', 'audited'])
  expect(result.code).toBe(0)
  const event = await eventually('the audit event', async () => {
    const lines = (await readFile(shop.sandbox.cluster.auditLog ?? '', 'utf8')).split('\n')
    const line = lines.find(
      (text) => text.includes('pods/tools-0/exec') && text.includes('audited'),
    )
    return line === undefined ? undefined : (JSON.parse(line) as AuditEvent)
  })
  expect(event.user.username).toBe('system:serviceaccount:podgate-system:podgate')
  expect(event.impersonatedUser).toMatchObject({
    username: 'ana',
    groups: ['dev', 'system:authenticated'],
  })
  const [session] = event.impersonatedUser.extra['podgate.dev/session'] ?? []
  const listed = await shop.podgate('ana', ['sessions', '-o', 'json'])
  expect(listed.stdout).toContain(session)
})

interface AuditEvent {
  user: { username: string }
  impersonatedUser: { username: string; groups: string[]; extra: Record<string, string[]> }
}

describe('the rest of the Kubernetes API', () => {
  it('passes through: tables, YAML, watches that speak at once, protobuf', async () => {
    expect((await shop.ana(['get', 'pods', '-n', 'shop'])).stdout).toContain('web-0')
    expect((await shop.ana(['get', 'pod', 'web-0', '-n', 'shop', '-o', 'yaml'])).stdout).toContain(
      'name: web-0',
    )
    const watched = await shop.ana(['get', 'pods', '-n', 'shop', '--watch-only', '-o', 'name'], {
      timeoutMs: 20_000,
      onOutput: (text, child) => {
        if (text.includes('pod/tools-0')) child.kill('SIGINT')
      },
      ...watchTrigger(),
    })
    expect(watched.stdout).toContain('pod/tools-0')
  })

  it('refuses what RBAC refuses, in the API server’s own words', async () => {
    const result = await shop.ana(['get', 'secrets', '-n', 'shop'])
    expect(result.stderr).toContain(
      'secrets is forbidden: User "ana" cannot list resource "secrets"',
    )
  })
})

/** Changes a label until the watch has shown it. */
function watchTrigger(): object {
  let turn = 0
  const timer = setInterval(() => {
    turn += 1
    void shop.admin(['label', 'pod', 'tools-0', '-n', 'shop', `turn=${turn}`, '--overwrite'])
    if (turn > 8) clearInterval(timer)
  }, 1000)
  timer.unref()
  return {}
}

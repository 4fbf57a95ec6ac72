/** The reflector against an API server that behaves as badly as real ones do. */
import type { IncomingMessage, ServerResponse } from 'node:http'

import { afterEach, beforeAll, describe, expect, it } from '@jest/globals'

import type { ReflectorOptions } from '../../../lib/kube/reflector.ts'
import { eventually, settled } from '../../fakes/eventually.ts'
import {
  isWatch,
  ready,
  startReflector,
  type Setup,
  type Thing,
} from '../../fakes/reflector-bed.ts'
import { createTestPki, type TestPki } from '../../fakes/scripted-api-server.ts'
import { ScriptedCluster, json, refuse } from '../../fakes/scripted-cluster.ts'

let pki: TestPki
const open: Setup[] = []

beforeAll(async () => {
  pki = await createTestPki()
})

afterEach(async () => {
  for (const setup of open.splice(0)) await setup.close()
})

async function start(options: Partial<ReflectorOptions<Thing>> = {}): Promise<Setup> {
  const setup = await startReflector(pki, options)
  open.push(setup)
  return setup
}

describe('a reflector', () => {
  it('lists, then follows additions, changes and deletions', async () => {
    const setup = await start()
    await ready(setup)
    expect(setup.names()).toBe('first')
    setup.put('second')
    setup.put('first', { changed: true })
    setup.cluster.objects.remove('accesspolicies', 'shop', 'second')
    await eventually('four changes', () => setup.changes.length === 4)
    expect(setup.changes).toEqual(['set first', 'set second', 'set first', 'delete second'])
    expect(setup.reflector.get('shop', 'first')?.spec).toEqual({ changed: true })
    expect([setup.lists(), setup.watches(), setup.errors]).toEqual([1, 1, []])
  })

  it('resumes a watch that ended by itself from the version of the last bookmark', async () => {
    const setup = await start()
    await ready(setup)
    setup.cluster.objects.bookmark('accesspolicies')
    const version = setup.cluster.objects.version
    for (const response of setup.cluster.watches) response.end()
    await eventually('a second watch', () => setup.watches() === 2)
    expect(setup.cluster.seen(/watch=true/)[1]?.url).toContain(`&resourceVersion=${version}`)
    expect(setup.lists()).toBe(1)
    expect(setup.changes).toEqual(['set first'])
  })

  it.each(['in the stream', 'as the HTTP code'])('lists again after 410 %s', async (where) => {
    const setup = await start()
    await ready(setup)
    let refusals = 0
    if (where === 'as the HTTP code') {
      setup.cluster.intercept = (_request, response, url) => {
        if (!isWatch(url) || refusals > 0) return false
        refusals += 1
        refuse(response, 410, 'Expired', 'too old resource version')
        return true
      }
    }
    setup.put('seen')
    for (const response of setup.cluster.watches) response.end()
    setup.put('missed')
    setup.cluster.objects.forgetPast()
    await eventually('what was missed', () => setup.names() === 'first missed seen')
    expect(setup.lists()).toBe(2)
    setup.put('later')
    await eventually('what came later', () => setup.names() === 'first later missed seen')
  })

  it('sees what changed and what was deleted while the connection was cut', async () => {
    const setup = await start()
    setup.put('doomed')
    await ready(setup)
    await eventually('both', () => setup.names() === 'doomed first')
    for (const socket of setup.cluster.open) socket.destroy()
    setup.cluster.objects.remove('accesspolicies', 'shop', 'doomed')
    setup.put('new')
    await eventually('the truth', () => setup.names() === 'first new')
    expect(setup.changes).toContain('delete doomed')
  })

  it('recovers from a restart of the API server, without events of its past', async () => {
    const setup = await start()
    setup.put('doomed')
    await ready(setup)
    await eventually('both', () => setup.names() === 'doomed first')
    await setup.cluster.stop()
    setup.cluster.objects.remove('accesspolicies', 'shop', 'doomed')
    setup.put('new')
    setup.cluster.objects.forgetPast()
    await eventually('a failure', () => setup.errors.length > 0)
    expect(setup.names()).toBe('doomed first')
    await setup.cluster.listen()
    await eventually('the truth', () => setup.names() === 'first new')
    expect(setup.errors.length).toBeLessThan(10)
  })

  it('takes an object that was made anew under its name for a change', async () => {
    const setup = await start()
    await ready(setup)
    const before = setup.reflector.get('shop', 'first')?.metadata.uid
    for (const socket of setup.cluster.open) socket.destroy()
    setup.cluster.objects.remove('accesspolicies', 'shop', 'first')
    setup.put('first')
    await eventually('the new one', () => {
      const uid = setup.reflector.get('shop', 'first')?.metadata.uid
      return uid !== undefined && uid !== before
    })
  })
})

describe('age', () => {
  it('is infinite before the first list', async () => {
    const setup = await start()
    expect(setup.reflector.ageMs()).toBe(Infinity)
  })

  it('grows beyond 15 s while a hung API server keeps its connection, and falls when it is back', async () => {
    const held: ServerResponse[] = []
    const setup = await start()
    await ready(setup)
    setup.cluster.intercept = (_request, response) => {
      held.push(response)
      return true
    }
    for (const response of setup.cluster.watches) response.end()
    await eventually('an unanswered watch', () => held.length === 1)
    setup.clock.ms += 15_001
    expect(setup.reflector.ageMs()).toBeGreaterThan(15_000)
    expect(setup.cluster.open.size).toBeGreaterThan(0)
    expect(setup.names()).toBe('first')
    setup.cluster.intercept = undefined
    json(held[0] as ServerResponse, 500, { kind: 'Status', code: 500, message: 'woke up' })
    await eventually('a fresh list', () => setup.reflector.ageMs() === 0)
  })

  it('does not fall by a watch that is accepted and then silent', async () => {
    const setup = await start()
    await ready(setup)
    setup.cluster.intercept = (_request, response, url) => {
      if (isWatch(url)) response.writeHead(200).flushHeaders()
      return isWatch(url)
    }
    setup.clock.ms += 9000
    for (const response of setup.cluster.watches) response.end()
    await eventually('a second watch', () => setup.watches() === 2)
    expect(setup.reflector.ageMs()).toBeLessThan(9000)
    setup.clock.ms += 15_001
    expect(await settled(() => setup.reflector.ageMs(), 50)).toBeGreaterThan(15_000)
  })

  it('counts from before the list was asked for', async () => {
    const setup = await start()
    setup.cluster.intercept = (_request, _response, url) => {
      if (!isWatch(url)) setup.clock.ms += 4000
      return false
    }
    await setup.reflector.ready(AbortSignal.timeout(5000))
    expect(setup.reflector.ageMs()).toBe(4000)
  })

  it('ends a watch that the API server does not end in time', async () => {
    const setup = await start({ watchSeconds: -3.8 })
    setup.cluster.intercept = (_request, response, url) => {
      if (isWatch(url)) response.writeHead(200).flushHeaders()
      return isWatch(url)
    }
    await eventually('two watches', () => setup.watches() >= 2)
    expect(setup.errors[0]).toContain('aborted')
  })
})

/** Answers watches by itself, until it gives false. */
function answerWatches(
  setup: Setup,
  answer: (request: IncomingMessage, response: ServerResponse, nth: number) => boolean,
): void {
  let nth = 0
  setup.cluster.intercept = (request, response, url) => {
    if (!isWatch(url)) return false
    nth += 1
    return answer(request, response, nth)
  }
  for (const response of setup.cluster.watches) response.end()
}

describe('the bytes of a watch', () => {
  it.each([1, 2, 3, 7, 64])('may come in pieces of %d, within characters too', async (size) => {
    const setup = await start()
    await ready(setup)
    const spec = { text: 'ü€😀\u2028"\\n' }
    const object = { metadata: { namespace: 'shop', name: 'split', resourceVersion: '99' }, spec }
    const bytes = Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n\n`)
    answerWatches(setup, (_request, response, nth) => {
      if (nth > 1) return false
      response.writeHead(200)
      for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size))
      response.end()
      return true
    })
    await eventually('the object', () => setup.names() === 'first split')
    expect(setup.reflector.get('shop', 'split')?.spec).toEqual(spec)
    expect(setup.errors).toEqual([])
  })

  it.each([
    ['that are no JSON', '{"type":\n'],
    ['that are cut within an event', '{"type":"ADDED","obj'],
    ['of an event over 4 MiB', 'x'.repeat(4 * 1024 * 1024 + 1)],
    ['of an unknown failure', '{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n'],
  ])('%s lead to a new list', async (_name, text) => {
    const setup = await start()
    await ready(setup)
    answerWatches(setup, (_request, response, nth) => {
      if (nth > 1) return false
      setup.put('other')
      response.writeHead(200)
      response.write(text)
      setTimeout(() => response.destroy(), 20)
      return true
    })
    await eventually('a second list', () => setup.lists() === 2)
    await eventually('the other', () => setup.names() === 'first other')
    expect(setup.errors).toHaveLength(1)
  })
})

describe('an API server that goes on refusing is not asked in a hot loop:', () => {
  it.each([
    {
      name: '403 to every list',
      intercept: (_request, response) => {
        refuse(response, 403, 'Forbidden', 'no')
        return true
      },
    },
    {
      name: '410 to every watch as HTTP code',
      intercept: (_request, response, url) => {
        if (isWatch(url)) refuse(response, 410, 'Expired', 'too old')
        return isWatch(url)
      },
    },
    {
      name: '410 in the stream of every watch',
      intercept: (_request, response, url) => {
        const object = { kind: 'Status', code: 410, message: 'too old' }
        if (isWatch(url)) json(response, 200, { type: 'ERROR', object })
        return isWatch(url)
      },
    },
    {
      name: 'every watch ended at once',
      intercept: (_request, response, url) => {
        if (isWatch(url)) response.writeHead(200).end()
        return isWatch(url)
      },
    },
    {
      name: 'every connection cut',
      intercept: (request) => {
        request.socket.destroy()
        return true
      },
    },
  ] satisfies { name: string; intercept: ScriptedCluster['intercept'] }[])(
    '$name',
    async ({ intercept }) => {
      const setup = await start()
      await ready(setup)
      setup.cluster.intercept = intercept
      const before = setup.cluster.requests.length
      for (const socket of setup.cluster.open) socket.destroy()
      const asked = (): number => setup.cluster.requests.length - before
      await eventually('some attempts', () => asked() >= 3)
      const startedAt = performance.now()
      const from = asked()
      await eventually('a while', () => performance.now() - startedAt > 700)
      expect(asked() - from).toBeLessThanOrEqual(8)
    },
  )
})

describe('a change that cannot be taken in', () => {
  it('is tried again, and the age tells of it meanwhile', async () => {
    let broken = true
    const setup = await start({
      onChange(_type, { metadata }) {
        if (broken && metadata.name === 'odd') throw new Error('cannot be read')
      },
    })
    await ready(setup)
    setup.put('odd')
    await eventually('two failures', () => setup.errors.length >= 2)
    setup.clock.ms += 20_000
    expect(setup.reflector.ageMs()).toBeGreaterThan(15_000)
    broken = false
    await eventually('the odd one', () => setup.names() === 'first odd')
  })
})

describe('ready', () => {
  it.each([
    ['aborts', (): AbortSignal => AbortSignal.timeout(20)],
    ['was aborted before', (): AbortSignal => AbortSignal.abort(new Error('too late'))],
  ])('rejects when its signal %s', async (_name, signal) => {
    const setup = await start()
    setup.cluster.intercept = () => true
    await expect(setup.reflector.ready(signal())).rejects.toThrow()
  })

  it('resolves at once after the first list', async () => {
    const setup = await start()
    await ready(setup)
    await expect(setup.reflector.ready(AbortSignal.abort())).resolves.toBeUndefined()
  })
})

describe('close', () => {
  it.each([
    ['while a watch is open', undefined],
    ['while the API server does not answer', (): boolean => true],
    [
      'while it waits after a failure',
      (_request: IncomingMessage, response: ServerResponse): boolean => {
        refuse(response, 403, 'Forbidden', 'no')
        return true
      },
    ],
  ] satisfies [string, ScriptedCluster['intercept']][])(
    '%s ends all requests',
    async (_name, intercept) => {
      const setup = await start()
      if (intercept === undefined) await ready(setup)
      setup.cluster.intercept = intercept
      await eventually('a request', () => setup.cluster.requests.length > 0)
      setup.reflector.close()
      await eventually('no watch', () => setup.cluster.watches.size === 0)
      const asked = await settled(() => setup.cluster.requests.length)
      expect(setup.errors.filter((message) => message.includes('abort'))).toEqual([])
      expect(setup.cluster.requests).toHaveLength(asked)
    },
  )
})

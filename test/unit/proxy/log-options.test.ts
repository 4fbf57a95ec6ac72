import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'

import { logQuery, logWords, parseLogOptions } from '../../../lib/proxy/log-options.ts'

const upstream = (query: string): string =>
  logQuery(parseLogOptions(query), parseLogOptions(query).container ?? 'main')

describe('what the API server is asked', () => {
  it.each([
    ['nothing but the container that was decided on', '', 'container=main'],
    ['the container that was named', 'container=side', 'container=side'],
    ['an empty container is none', 'container=', 'container=main'],
    [
      'all that kubectl has flags for',
      'container=c&follow=true&previous=true&sinceSeconds=300&timestamps=true&tailLines=10&limitBytes=512&insecureSkipTLSVerifyBackend=true',
      'container=c&follow=true&previous=true&timestamps=true&insecureSkipTLSVerifyBackend=true&sinceSeconds=300&tailLines=10&limitBytes=512',
    ],
    [
      'a point in time',
      'sinceTime=2026-11-22T08%3A00%3A00.5%2B01%3A00',
      'container=main&sinceTime=2026-11-22T08%3A00%3A00.5%2B01%3A00',
    ],
    ['an empty time is none', 'sinceTime=', 'container=main'],
    ['one of two streams', 'stream=Stderr', 'container=main&stream=Stderr'],
    ['booleans of the Python client', 'follow=True&previous=False', 'container=main&follow=true'],
    ['a flag without a value is set, as Go reads it', 'follow', 'container=main&follow=true'],
    ['any other word is true, as Go reads it', 'follow=no', 'container=main&follow=true'],
    ['zero is false', 'follow=0', 'container=main'],
    ['a sign', 'tailLines=%2B7&sinceSeconds=-3', 'container=main&sinceSeconds=-3&tailLines=7'],
    [
      'the largest number',
      'limitBytes=9223372036854775807',
      'container=main&limitBytes=9223372036854775807',
    ],
    [
      'parameters that PodLogOptions does not know are left out',
      'pretty=true&timeout=5s&timeout=6s',
      'container=main',
    ],
    ['names in another case are not known', 'Follow=true', 'container=main'],
  ])('%s', (_name, query, expected) => {
    expect(upstream(query)).toBe(expected)
  })
})

describe('what is refused', () => {
  it.each([
    [
      'a container twice',
      'container=a&container=b',
      'the parameter container is given 2 times; give it once',
    ],
    [
      'the same twice',
      'follow=true&follow=true',
      'the parameter follow is given 2 times; give it once',
    ],
    ['a number that is none', 'tailLines=ten', 'the parameter tailLines must be a whole number'],
    ['an empty number', 'tailLines=', 'the parameter tailLines must be a whole number'],
    [
      'a number that Go would not take',
      'limitBytes=1e3',
      'the parameter limitBytes must be a whole number',
    ],
    [
      'a number beyond 64 bits',
      'limitBytes=9223372036854775808',
      'the parameter limitBytes is too large',
    ],
    [
      'a time that is none',
      'sinceTime=yesterday',
      'the parameter sinceTime must be a time such as 2026-11-22T08:00:00Z (RFC 3339)',
    ],
    [
      'a stream that is no word',
      'stream=a%26b',
      'the parameter stream must be All, Stdout or Stderr',
    ],
  ])('%s', (_name, query, message) => {
    expect(() => parseLogOptions(query)).toThrow(
      expect.objectContaining({ reason: 'BadRequest', id: 1011, message }),
    )
  })
})

describe('words for the record', () => {
  it.each([
    ['', []],
    ['container=c', []],
    ['follow=true&tailLines=10', ['--follow', '--tail=10']],
    ['previous=1&sinceSeconds=300&timestamps=1', ['--previous', '--timestamps', '--since=300s']],
    [
      'sinceTime=2026-11-22T08:00:00Z&limitBytes=5&stream=Stdout&insecureSkipTLSVerifyBackend=1',
      [
        '--insecure-skip-tls-verify-backend',
        '--since-time=2026-11-22T08:00:00Z',
        '--limit-bytes=5',
        '--stream=Stdout',
      ],
    ],
  ])('%s', (query, words) => {
    expect(logWords(parseLogOptions(query))).toEqual(words)
  })
})

it('reads what it has rebuilt as what it was', () => {
  const options = fc.record({
    container: fc.constantFrom('main', 'side-1'),
    follow: fc.boolean(),
    previous: fc.boolean(),
    timestamps: fc.boolean(),
    insecureSkipTLSVerifyBackend: fc.boolean(),
    sinceSeconds: fc.option(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), { nil: undefined }),
    tailLines: fc.option(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), { nil: undefined }),
    limitBytes: fc.option(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), { nil: undefined }),
    sinceTime: fc.option(fc.constantFrom('2026-11-22T08:00:00Z', '2026-01-01T00:00:00,25-11:00'), {
      nil: undefined,
    }),
    stream: fc.option(fc.constantFrom('All', 'Stdout'), { nil: undefined }),
  })
  fc.assert(
    fc.property(options, (given) => {
      expect(parseLogOptions(logQuery(given, given.container))).toEqual(given)
    }),
  )
})

it('never says more upstream than the names of PodLogOptions', () => {
  const names =
    /^(?:(?:container|follow|previous|timestamps|insecureSkipTLSVerifyBackend|sinceSeconds|tailLines|limitBytes|sinceTime|stream)=[\w%.+-]+(?:&|$))+$/
  fc.assert(
    fc.property(fc.string(), (query) => {
      let options
      try {
        options = parseLogOptions(query)
      } catch {
        return
      }
      expect(logQuery(options, 'main')).toMatch(names)
    }),
  )
})

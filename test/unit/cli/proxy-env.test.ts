import { describe, expect, it } from '@jest/globals'

import { proxyEnvOf } from '../../../lib/cli/proxy-env.ts'

const GATE = 'https://gate.corp.example:8443'
const P = 'http://p:1'
const THROUGH = { HTTPS_PROXY: P, HTTP_PROXY: P }

describe('the way to a server', () => {
  it.each<[string, string, Record<string, string>, object]>([
    ['is direct without a word of proxies', GATE, {}, {}],
    ['is through HTTPS_PROXY', GATE, { HTTPS_PROXY: P }, THROUGH],
    ['is through https_proxy', GATE, { HTTPS_PROXY: '', https_proxy: P }, THROUGH],
    ['is through HTTPS_PROXY without a scheme', GATE, { HTTPS_PROXY: 'p:1' }, THROUGH],
    ['is not through HTTP_PROXY, which is for http', GATE, { HTTP_PROXY: P }, {}],
    ['over http is through HTTP_PROXY', 'http://gate.example', { HTTP_PROXY: P }, THROUGH],
    ['is direct to this machine', 'https://127.0.0.1:1', { HTTPS_PROXY: P }, {}],
    ['is direct to this machine by name', 'https://localhost', { HTTPS_PROXY: P }, {}],
    ['is direct to this machine over IPv6', 'https://[::1]:1', { HTTPS_PROXY: P }, {}],
  ])('%s', (_name, address, env, want) => {
    expect(proxyEnvOf(undefined, address, env)).toEqual(want)
  })

  it.each<[string, string, string, boolean]>([
    ['nothing', '', GATE, false],
    ['everything', '*', GATE, true],
    ['its name', 'gate.corp.example', GATE, true],
    ['its name in capitals', 'GATE.Corp.Example', GATE, true],
    ['its domain', 'corp.example', GATE, true],
    ['its domain among others', 'a.b, corp.example ,c.d', GATE, true],
    ['a domain that ends alike', 'orp.example', GATE, false],
    ['what is below its domain', '.corp.example', GATE, true],
    ['what is below its domain, by a star', '*.corp.example', GATE, true],
    ['what is below it, not itself', '.gate.corp.example', GATE, false],
    ['its name with its port', 'gate.corp.example:8443', GATE, true],
    ['its name with another port', 'gate.corp.example:443', GATE, false],
    ['its name with the usual port', 'x.example:443', 'https://x.example', true],
    ['its address', '10.1.2.3', 'https://10.1.2.3:6443', true],
    ['another address', '10.1.2.30', 'https://10.1.2.3:6443', false],
    ['an address that ends alike', '1.2.3', 'https://10.1.2.3:6443', false],
    ['its network', '10.0.0.0/8', 'https://10.1.2.3:6443', true],
    ['another network', '10.2.0.0/16', 'https://10.1.2.3:6443', false],
    ['a network, of a name', '10.0.0.0/8', GATE, false],
    ['a network that is none', '10.0.0.0/99', 'https://10.1.2.3', false],
    ['its network of IPv6', 'fd00::/8', 'https://[fd00::1]:6443', true],
    ['its address of IPv6', 'fd00::1', 'https://[fd00::1]:6443', true],
    ['its address of IPv6 with the port', '[fd00::1]:6443', 'https://[fd00::1]:6443', true],
  ])('is direct where NO_PROXY is %s (%s), as for kubectl: %s', (_name, list, address, direct) => {
    const want = direct ? {} : THROUGH
    expect(proxyEnvOf(undefined, address, { HTTPS_PROXY: P, NO_PROXY: list })).toEqual(want)
    expect(proxyEnvOf(undefined, address, { https_proxy: P, no_proxy: list })).toEqual(want)
  })

  it('is through the proxy of the kubeconfig, whatever the environment says', () => {
    const env = { HTTPS_PROXY: 'http://x', NO_PROXY: '*' }
    expect(proxyEnvOf(P, GATE, env)).toEqual(THROUGH)
    expect(proxyEnvOf(P, 'https://127.0.0.1', env)).toEqual(THROUGH)
  })

  it('is refused in words through a proxy that nobody here speaks', () => {
    expect(() => proxyEnvOf('socks5://p', GATE, {})).toThrow(
      /proxy-url of the kubeconfig is socks5/,
    )
    const env = { HTTPS_PROXY: 'socks5://p' }
    expect(() => proxyEnvOf(undefined, GATE, env)).toThrow(/HTTPS_PROXY is socks5:.*not supported/)
  })
})

import { describe, expect, it } from '@jest/globals'

import { refuse } from '../../fakes/kube-api-server.ts'
import { condition, CY } from '../../unit/cli/approve/requests.ts'
import { isClusterList, useDesk } from './desk.ts'

const desk = useDesk()

describe('kubectl approve without a name', () => {
  it('lists what waits for me in all namespaces, over all pages, the most urgent first', async () => {
    desk.put({ name: 'a', namespace: 'shop', expiresInMs: 240_500 })
    desk.put({ name: 'mine', requester: 'bo' })
    desk.put({ name: 'b', namespace: 'prod', expiresInMs: 180_500 })
    desk.put({ name: 'not-mine-to-decide', demands: [[CY]] })
    desk.put({ name: 'done', conditions: [condition('Denied')] })
    const { code, out, err } = await desk.approve()
    expect(out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 5))).toEqual([
      ['NAMESPACE', 'NAME', 'REQUESTER', 'POD', 'COMMAND'],
      ['prod', 'b', 'ana', 'web-0', 'sh'],
      ['shop', 'a', 'ana', 'web-0', 'sh'],
      [''],
    ])
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  it('says so on stderr when there is nothing', async () => {
    expect(await desk.approve()).toMatchObject({
      code: 0,
      out: '',
      err: 'No requests wait for your decision.\n',
    })
  })

  it('gives an empty list as JSON when there is nothing', async () => {
    const { out, code } = await desk.approve('-o', 'json')
    expect(JSON.parse(out)).toEqual({ apiVersion: 'v1', kind: 'List', metadata: {}, items: [] })
    expect(code).toBe(0)
  })

  it('keeps to the namespace of -n', async () => {
    desk.put({ name: 'a', namespace: 'shop' })
    desk.put({ name: 'b', namespace: 'prod' })
    expect((await desk.approve('-n', 'prod', '-o', 'name')).out).toBe(
      'approvalrequest.podgate.dev/b\n',
    )
  })

  it('falls back to the namespace of the context where not all may be listed', async () => {
    await desk.signIn('bo', 'prod')
    desk.put({ name: 'a', namespace: 'shop' })
    desk.put({ name: 'b', namespace: 'prod' })
    desk.forbid(isClusterList)
    expect(await desk.approve('-o', 'name')).toMatchObject({
      code: 0,
      out: 'approvalrequest.podgate.dev/b\n',
    })
  })

  it('fails with -A where not all may be listed', async () => {
    desk.forbid(isClusterList)
    expect(await desk.approve('-A')).toMatchObject({
      code: 3,
      out: '',
      err: 'Error from server (Forbidden): /apis/podgate.dev/v1alpha1/approvalrequests is forbidden\n',
    })
  })

  it('goes on listing with -w, each request once, until Ctrl-C', async () => {
    desk.put({ name: 'a' })
    const running = desk.place.start('kubectl-approve', ['-w', '-o', 'name'])
    await running.until('/a\n')
    desk.put({ name: 'b' })
    await running.until('/b\n')
    desk.put({ name: 'b' })
    desk.put({ name: 'mine', requester: 'bo' })
    desk.put({ name: 'c' })
    await running.until('/c\n')
    running.child.kill('SIGINT')
    expect(await running.ended).toMatchObject({
      code: 0,
      out: ['a', 'b', 'c'].map((name) => `approvalrequest.podgate.dev/${name}\n`).join(''),
      err: '',
    })
  })

  it('outlives a gateway that is rolled, and says so once', async () => {
    let watches = 0
    desk.server.intercept = (_request, response, url) => {
      if (!url.searchParams.has('watch')) return false
      watches += 1
      if (watches === 1) response.destroy()
      if (watches === 2) {
        desk.put({ name: 'a' })
        refuse(response, 503, 'ServiceUnavailable', 'starting')
      }
      return watches <= 2
    }
    const running = desk.place.start('kubectl-approve', ['-w', '-o', 'name'])
    await running.until('/a\n')
    running.child.kill('SIGINT')
    const { code, err } = await running.ended
    expect(err).toMatch(
      /^No requests wait for your decision\.\nUnable to connect to the server .*\nTrying again until it is back; Ctrl-C ends this\.\n$/,
    )
    expect(code).toBe(0)
  })

  it('lists anew with -w where the watch cannot go on', async () => {
    let watches = 0
    desk.server.intercept = (_request, response, url) => {
      if (!url.searchParams.has('watch') || ++watches > 1) return false
      desk.put({ name: 'meanwhile' })
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' }
      response.writeHead(200).end(`${JSON.stringify({ type: 'ERROR', object })}\n`)
      return true
    }
    const running = desk.place.start('kubectl-approve', ['-w'])
    await running.until('meanwhile')
    running.child.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 0 })
  })
})

describe('kubectl approve show', () => {
  it('describes several, one after the other', async () => {
    desk.put({ name: 'a' })
    desk.put({ name: 'b' })
    const { code, out } = await desk.approve('show', 'a', 'b')
    expect(out.split('\n').filter((line) => /^(Name:|You:|$)/.test(line))).toEqual([
      'Name:       a',
      'You:        may decide: kubectl approve a -n shop',
      '',
      'Name:       b',
      'You:        may decide: kubectl approve b -n shop',
      '',
    ])
    expect(code).toBe(0)
  })

  it('gives a list with -o yaml for several', async () => {
    desk.put({ name: 'a' })
    desk.put({ name: 'b' })
    const { out } = await desk.approve('show', 'a', 'b', '-o', 'yaml')
    expect(out).toContain('kind: List\n')
    expect(out.match(/kind: ApprovalRequest\n/g)).toHaveLength(2)
  })
})

describe('kubectl approve --help', () => {
  it('needs no server and no kubeconfig', async () => {
    const { code, out } = await desk.place.run('kubectl-approve', ['--help'], {
      KUBECONFIG: '/nowhere',
    })
    expect(out).toContain('kubectl approve deny NAME... --reason TEXT')
    expect(code).toBe(0)
  })
})

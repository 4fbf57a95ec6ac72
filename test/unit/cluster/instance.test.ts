import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'

import { cleanUpAbandoned } from '../../../lib/cluster/cleanup.ts'
import {
  claimInstance,
  forgetInstance,
  isSubnetTaken,
  listAbandoned,
  listInstances,
  nodeNetworkOf,
  portsOf,
} from '../../../lib/cluster/instance.ts'
import { identify } from '../../../lib/cluster/process-identity.ts'

const DEAD = { pid: 4_194_305, startTime: '1' }

let folder: string
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'podgate-instance-')), 'run')
})
afterEach(() => {
  rmSync(join(folder, '..'), { recursive: true, force: true })
})

describe('what an instance number stands for', () => {
  it('no two numbers share a port, a bridge, a subnet or a cgroup', () => {
    const numbers = Array.from({ length: 200 }, (_, index) => index)
    const ports = numbers.flatMap((index) => Object.values(portsOf(index)))
    expect(new Set(ports).size).toBe(ports.length)
    for (const field of ['bridge', 'subnet', 'gateway', 'cgroup'] as const) {
      expect(new Set(numbers.map((index) => nodeNetworkOf(index)[field])).size).toBe(200)
    }
  })

  it('stays below the ports of outgoing connections and within the limits of names', () => {
    expect(Math.max(...Object.values(portsOf(199)))).toBeLessThan(32_768)
    // IFNAMSIZ is 16 with the closing zero.
    expect(nodeNetworkOf(199).bridge.length).toBeLessThan(16)
  })

  it.each([
    { addresses: ['127.0.0.1', '10.231.7.1'], taken: true },
    { addresses: ['127.0.0.1', '10.231.70.1'], taken: false },
    { addresses: [], taken: false },
  ])('takes subnet 7 for taken = $taken beside $addresses', ({ addresses, taken }) => {
    expect(isSubnetTaken(7, addresses)).toBe(taken)
  })
})

describe('claimInstance', () => {
  it('gives everybody a number of their own, at the same time too', async () => {
    const claims = await Promise.all(
      ['a', 'b', 'c', 'd'].map(
        async (name) => await claimInstance({ name, stateDir: `/nowhere/${name}` }, folder),
      ),
    )
    const numbers = claims.map(({ record }) => record.index)
    expect(new Set(numbers).size).toBe(4)
    expect(new Set(listInstances(folder).map(({ index }) => index))).toEqual(new Set(numbers))
  })

  it('records its owner, so that it is not taken for abandoned', async () => {
    const { record } = await claimInstance({ name: 'a', stateDir: '/nowhere' }, folder)
    expect(record.owner).toEqual(identify(process.pid))
    expect(listAbandoned(folder)).toEqual([])
  })

  it('passes over a number one of whose ports is in use', async () => {
    const probe = await claimInstance({ name: 'probe', stateDir: '/nowhere' }, folder)
    forgetInstance(probe.record, folder)
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(probe.ports.mongodb, '127.0.0.1', resolve)
    })
    try {
      const { record } = await claimInstance({ name: 'a', stateDir: '/nowhere' }, folder)
      expect(record.index).toBeGreaterThan(probe.record.index)
    } finally {
      await new Promise((resolve) => {
        server.close(resolve)
      })
    }
  })

  it('writes changes of the record whole', async () => {
    const instance = await claimInstance({ name: 'a', stateDir: '/nowhere' }, folder)
    instance.record.processes.push({ name: 'etcd', ...DEAD })
    instance.save()
    expect(listInstances(folder)).toEqual([instance.record])
    expect(readdirSync(folder)).toHaveLength(1)
  })
})

describe('forgetInstance', () => {
  it('removes the folder with the last one', async () => {
    const first = await claimInstance({ name: 'a', stateDir: '/nowhere' }, folder)
    const second = await claimInstance({ name: 'b', stateDir: '/nowhere' }, folder)
    forgetInstance(first.record, folder)
    expect(existsSync(folder)).toBe(true)
    forgetInstance(second.record, folder)
    expect(existsSync(folder)).toBe(false)
  })
})

describe('cleanUpAbandoned', () => {
  it('removes what a dead owner left and leaves everybody else alone', async () => {
    const alive = await claimInstance({ name: 'alive', stateDir: '/nowhere' }, folder)
    const stateDir = join(folder, '..', 'left')
    const dead = await claimInstance({ name: 'dead', stateDir }, folder)
    dead.record.owner = DEAD
    // An id that was given to somebody else meanwhile: this very process.
    dead.record.processes.push({ name: 'etcd', pid: process.pid, startTime: '1' })
    dead.save()
    writeFileSync(join(folder, '..', 'other'), '')
    const cleaned = await cleanUpAbandoned(folder)
    expect(cleaned.map(({ name }) => name)).toEqual(['dead'])
    expect(listInstances(folder)).toEqual([alive.record])
    expect(await cleanUpAbandoned(folder)).toEqual([])
    expect(readdirSync(join(folder, '..')).sort()).toEqual(['other', 'run'])
  })
})

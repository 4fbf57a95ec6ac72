import { describe, expect, it } from '@jest/globals'

import { StreamTable } from '../../../lib/spdy/stream-table.ts'

function server(...open: number[]): StreamTable {
  const table = new StreamTable('server', 3)
  for (const id of open) table.openRemote(id, false)
  return table
}

function client(count: number): StreamTable {
  const table = new StreamTable('client', 3)
  for (let n = 0; n < count; n++) table.openLocal()
  return table
}

describe('StreamTable', () => {
  it.each([
    { name: 'an even id', act: () => server().openRemote(2, false), says: 'our own side' },
    { name: 'the same id again', act: () => server(1).openRemote(1, false), says: '1 after 1' },
    { name: 'a lower id', act: () => server(129).openRemote(1, false), says: '1 after 129' },
    {
      name: 'an id used before and closed',
      act: () => {
        const table = server(1)
        table.reset(1)
        table.openRemote(1, false)
      },
      says: '1 after 1',
    },
    {
      name: 'a stream too many',
      act: () => server(1, 3, 5).openRemote(7, false),
      says: 'more than 3',
    },
    {
      name: 'data for a stream nobody opened',
      act: () => server(1).receive(3),
      says: 'unknown stream 3',
    },
    {
      name: 'data after FIN',
      act: () => {
        const table = server(1)
        table.endRemote(1)
        table.receive(1)
      },
      says: 'after FIN',
    },
    { name: 'data before the answer', act: () => client(1).receive(1), says: 'before SYN_REPLY' },
    {
      name: 'an answer to nothing',
      act: () => client(1).replied(3, false),
      says: 'unknown stream 3',
    },
    {
      name: 'a second answer',
      act: () => {
        const table = client(1)
        table.replied(1, false)
        table.replied(1, false)
      },
      says: 'second SYN_REPLY',
    },
    {
      name: 'a server that answers its client',
      act: () => server(1).replied(1, false),
      says: 'second',
    },
  ])('refuses $name', ({ act, says }) => {
    expect(act).toThrow(says)
  })

  it('takes ids with gaps, up to the highest', () => {
    const table = server(1, 127, 0x7fff_ffff)
    expect(table.lastRemoteId).toBe(0x7fff_ffff)
    expect(() => table.receive(0x7fff_ffff)).not.toThrow()
  })

  it('gives out odd ids to a client', () => {
    const table = new StreamTable('client', 3)
    expect([table.openLocal(), table.openLocal(), table.openLocal()]).toEqual([1, 3, 5])
  })

  it('makes room when a stream has ended both ways or was reset', () => {
    const table = server(1, 3, 5)
    table.endRemote(1)
    expect(table.endLocal(1)).toBe(true)
    table.openRemote(7, false)
    expect(table.reset(3)).toBe(true)
    table.openRemote(9, false)
    expect(() => table.openRemote(11, false)).toThrow('more than 3')
  })

  it('ends our side once', () => {
    const table = server(1)
    expect(table.canSend(1)).toBe(true)
    expect([table.endLocal(1), table.endLocal(1), table.endLocal(3)]).toEqual([true, false, false])
    expect(table.canSend(1)).toBe(false)
    expect(() => table.receive(1)).not.toThrow()
  })

  it('knows when the peer can say nothing more', () => {
    const table = server(1, 3)
    table.openRemote(5, true)
    expect(table.allRemoteEnded).toBe(false)
    table.endRemote(1)
    table.reset(3)
    expect(table.allRemoteEnded).toBe(true)
  })
})

import { describe, expect, it } from '@jest/globals'

import type { ApprovalRequest } from '../../../lib/api/approval-request.generated.ts'
import { chooseRequest, requestName } from '../../../lib/approval/request-name.ts'
import { pending } from './fixtures.ts'

const DIGEST = pending().spec.digest

function named(generation: number, digest: string = DIGEST): ApprovalRequest {
  const request = pending()
  return {
    ...request,
    metadata: { ...request.metadata, name: requestName(DIGEST, generation) },
    spec: { ...request.spec, digest },
  }
}

const ALL_OPEN = (): boolean => true
const ALL_OVER = (): boolean => false

describe('requestName', () => {
  it('is a name that Kubernetes takes and people can read out', () => {
    for (let generation = 0; generation < 500; generation++) {
      expect(requestName(DIGEST, generation)).toMatch(/^apreq-[bcdfghjklmnpqrstvwxz2456789]{7}$/)
    }
  })

  it('differs from one generation to the next', () => {
    const names = Array.from({ length: 500 }, (_, generation) => requestName(DIGEST, generation))
    expect(new Set(names).size).toBe(500)
  })

  it('is the same on every replica', () => {
    expect(requestName('sha256:00', 0)).toBe('apreq-7dtfkrb')
  })
})

describe('chooseRequest', () => {
  it.each<{
    name: string
    known: ApprovalRequest[]
    isOpen: (request: ApprovalRequest) => boolean
    want: object
  }>([
    {
      name: 'creates the first',
      known: [],
      isOpen: ALL_OPEN,
      want: { kind: 'create', name: requestName(DIGEST, 0) },
    },
    {
      name: 'joins the one that is open, as for the second of the two tries of kubectl',
      known: [named(0)],
      isOpen: ALL_OPEN,
      want: { kind: 'join', request: named(0) },
    },
    {
      name: 'creates the next after those that are over',
      known: [named(0), named(1)],
      isOpen: ALL_OVER,
      want: { kind: 'create', name: requestName(DIGEST, 2) },
    },
    {
      name: 'joins an open one behind those that are over',
      known: [named(0), named(1)],
      isOpen: ({ metadata }) => metadata.name === requestName(DIGEST, 1),
      want: { kind: 'join', request: named(1) },
    },
    {
      name: 'does not join a request for something else under the same name',
      known: [named(0, 'sha256:other')],
      isOpen: ALL_OPEN,
      want: { kind: 'create', name: requestName(DIGEST, 1) },
    },
    {
      name: 'does not join a request of the same digest under a name that was made up',
      known: [pending()],
      isOpen: ALL_OPEN,
      want: { kind: 'create', name: requestName(DIGEST, 0) },
    },
  ])('$name', ({ known, isOpen, want }) => {
    expect(chooseRequest(known, DIGEST, isOpen)).toEqual(want)
  })
})

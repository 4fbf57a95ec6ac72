/** Which debug container is new, and what is more than one new one. */
import { expect, it } from '@jest/globals'

import type { SpecContainer, SpecPod } from '../../../../lib/proxy/debug/pod-spec.ts'
import { addedContainer } from '../../../../lib/proxy/debug/proposal.ts'

function pod(...ephemeralContainers: SpecContainer[]): SpecPod {
  const metadata = { name: 'web-0', namespace: 'shop', uid: 'u' }
  return { metadata, spec: { containers: [], ephemeralContainers } }
}

const A = { name: 'a', image: 'sh:1' }
const B = { name: 'b', image: 'sh:1' }

it.each<[string, SpecPod, SpecPod, SpecContainer | undefined]>([
  ['the only one', pod(), pod(A), A],
  ['the second one', pod(A), pod(A, B), B],
  ['one put before another', pod(A), pod(B, A), B],
  ['none', pod(A), pod(A), undefined],
  ['none in another order', pod(A, B), pod(B, A), undefined],
])('finds %s', (_name, before, after, want) => {
  expect(addedContainer(before, after)).toEqual(want)
})

it.each<[string, SpecPod, SpecPod]>([
  ['two at once', pod(), pod(A, B)],
  ['one that takes the place of another', pod(A), pod(B)],
  ['one that takes the name of another', pod(A), pod({ ...A, image: 'evil:1' })],
  ['one beside a changed one', pod(A), pod({ ...A, image: 'evil:1' }, B)],
  ['none any more', pod(A), pod()],
])('refuses %s', (_name, before, after) => {
  expect(() => addedContainer(before, after)).toThrow(expect.objectContaining({ id: 1036 }))
})

import { describe, expect, it } from '@jest/globals'

import { ACCESS_POLICY } from '../../../lib/api/access-policy.generated.ts'
import { CLUSTER_ACCESS_POLICY } from '../../../lib/api/cluster-access-policy.generated.ts'
import type { ResourceInfo } from '../../../lib/api/object-meta.ts'
import { resourcePath, type ResourcePlace } from '../../../lib/api/resource-path.ts'

describe('the path of', () => {
  const ours = '/apis/podgate.dev/v1alpha1'
  const cases: [string, ResourceInfo, ResourcePlace, string][] = [
    ['all of a kind', ACCESS_POLICY, {}, `${ours}/accesspolicies`],
    [
      'those of a namespace',
      ACCESS_POLICY,
      { namespace: 'shop' },
      `${ours}/namespaces/shop/accesspolicies`,
    ],
    [
      'one of them',
      ACCESS_POLICY,
      { namespace: 'shop', name: 'exec' },
      `${ours}/namespaces/shop/accesspolicies/exec`,
    ],
    [
      'one of the cluster',
      CLUSTER_ACCESS_POLICY,
      { name: 'floor' },
      `${ours}/clusteraccesspolicies/floor`,
    ],
    [
      'a name that wants to be a path',
      ACCESS_POLICY,
      { namespace: '../..', name: 'a/b?c=d' },
      `${ours}/namespaces/..%2F../accesspolicies/a%2Fb%3Fc%3Dd`,
    ],
  ]
  it.each(cases)('%s', (_name, info, place, expected) => {
    expect(resourcePath(info, place)).toBe(expected)
  })
})

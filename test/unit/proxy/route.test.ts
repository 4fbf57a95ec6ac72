import { describe, expect, it } from '@jest/globals'

import { parseRequestInfo } from '../../../lib/proxy/request-info.ts'
import { routeOf } from '../../../lib/proxy/route.ts'

const NS = '/api/v1/namespaces/shop'

describe('routeOf', () => {
  it.each([
    [
      'GET',
      `${NS}/pods/web-0/exec`,
      true,
      { kind: 'stream', operation: 'Exec', namespace: 'shop', pod: 'web-0' },
    ],
    ['POST', `${NS}/pods/web-0/exec`, true, { kind: 'stream', operation: 'Exec' }],
    ['POST', `${NS}/pods/web-0/attach`, true, { kind: 'stream', operation: 'Attach' }],
    ['GET', `${NS}/pods`, false, { kind: 'passThrough' }],
    ['GET', `${NS}/pods?watch=true`, true, { kind: 'refuse' }],
    ['GET', '/api/v1/watch/pods', true, { kind: 'refuse' }],
    ['PUT', `${NS}/pods/web-0/status`, false, { kind: 'passThrough' }],
    ['POST', `${NS}/pods/web-0/eviction`, false, { kind: 'passThrough' }],
    ['GET', `${NS}/pods/web-0/log`, false, { kind: 'refuse' }],
    ['POST', `${NS}/pods/web-0/portforward`, true, { kind: 'refuse' }],
    ['GET', `${NS}/pods/web-0/proxy/x`, false, { kind: 'refuse' }],
    ['GET', `${NS}/services/web/proxy`, false, { kind: 'refuse' }],
    ['GET', '/api/v1/nodes/n1/proxy/exec/shop/web-0/main', false, { kind: 'refuse' }],
    ['POST', '/api/v1/nodes/n1/proxy/run/shop/web-0/main', false, { kind: 'refuse' }],
    ['GET', '/api/v1/proxy/nodes/n1/run', false, { kind: 'refuse' }],
    ['PATCH', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'refuse' }],
    ['PUT', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'refuse' }],
    ['GET', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'passThrough' }],
    ['POST', `${NS}/serviceaccounts/default/token`, false, { kind: 'refuse' }],
    ['POST', `${NS}/pods/web-0/newthing`, false, { kind: 'refuse' }],
    ['POST', `${NS}/pods/web-0/exec/deeper`, true, { kind: 'refuse' }],
    ['POST', '/api/v1/pods/web-0/exec', true, { kind: 'refuse' }],
    [
      'GET',
      '/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/v/vnc',
      true,
      { kind: 'refuse' },
    ],
    ['GET', '/apis/metrics.k8s.io/v1beta1/pods', false, { kind: 'passThrough' }],
    ['GET', '/podgate/v1alpha1/sessions', false, { kind: 'console' }],
    ['GET', '/podgate/v1alpha1/sessions', true, { kind: 'refuse' }],
    ['GET', '/healthz', true, { kind: 'refuse' }],
  ] as const)('%s %s (upgrade: %s)', (method, target, upgrade, want) => {
    expect(routeOf(parseRequestInfo(method, target), upgrade)).toMatchObject(want)
  })
})

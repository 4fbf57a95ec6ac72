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
    ['GET', `${NS}/pods/web-0/log`, false, { kind: 'logs', namespace: 'shop', pod: 'web-0' }],
    ['GET', `${NS}/pods/web-0/log`, true, { kind: 'logs' }],
    ['GET', `${NS}/pods/web-0/log/x`, false, { kind: 'refuse' }],
    ['POST', `${NS}/pods/web-0/portforward`, true, { kind: 'forward', pod: 'web-0' }],
    ['GET', `${NS}/pods/web-0/portforward`, true, { kind: 'forward' }],
    ['GET', `${NS}/pods/web-0/proxy/x`, false, { kind: 'proxy', resource: 'pods', name: 'web-0' }],
    ['GET', `${NS}/pods/web-0/proxy/x`, true, { kind: 'refuse' }],
    ['GET', `${NS}/services/web/proxy`, false, { kind: 'proxy', resource: 'services' }],
    [
      'GET',
      '/api/v1/nodes/n1/proxy/exec/shop/web-0/main',
      false,
      { kind: 'proxy', resource: 'nodes', namespace: '', name: 'n1' },
    ],
    ['POST', '/api/v1/nodes/n1/proxy/run/shop/web-0/main', false, { kind: 'proxy' }],
    ['GET', '/api/v1/nodes/n1/proxy/exec/shop/web-0/main', true, { kind: 'refuse' }],
    ['GET', '/api/v1/nodes/n1/log', false, { kind: 'refuse' }],
    ['POST', `${NS}/pods`, false, { kind: 'createPod', namespace: 'shop' }],
    ['POST', '/api/v1/pods', false, { kind: 'refuse' }],
    ['GET', '/api/v1/redirect/nodes/n1/run', false, { kind: 'refuse' }],
    ['PATCH', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'debugContainer' }],
    ['PUT', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'debugContainer' }],
    ['POST', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'refuse' }],
    ['GET', `${NS}/pods/web-0/ephemeralcontainers`, false, { kind: 'passThrough' }],
    ['POST', `${NS}/serviceaccounts/default/token`, false, { kind: 'token', name: 'default' }],
    ['PUT', `${NS}/serviceaccounts/default/token`, false, { kind: 'refuse' }],
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

/**
 * The gateway's rights in the constrained form, before an API server that knows it (Kubernetes
 * 1.36, KEP-5284): what people do through the gateway works, and what a stolen token of the gateway
 * could do besides does not.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { parse } from 'yaml'

import { NEWER_API_SERVER } from '../../../lib/cluster/go-programs.ts'
import { impersonationHeaders, type Impersonation } from '../../../lib/kube/impersonate.ts'
import { statusOf, until, type Api, type KubeObject, type Outcome } from './harness.ts'
import { binding, EXEC, group, ID, SESSION, startShipped } from './shipped.ts'

const FILE = join(
  import.meta.dirname,
  '../../../charts/podgate/alternatives/gateway-rbac-constrained.yaml',
)
const PODS = '/api/v1/namespaces/shop/pods'
const MARKS = {
  [SESSION]: [ID],
  'podgate.dev/login': ['l-1'],
  'podgate.dev/token-id': ['g-1'],
  'podgate.dev/issuer': ['https://idp.example'],
}
const ANA: Impersonation = { username: 'ana', groups: ['dev', 'staff'], extra: MARKS }

let api: Api
let gatewayToken = ''

function constrained(object: KubeObject): KubeObject {
  const role = parse(readFileSync(FILE, 'utf8')) as KubeObject
  const isIt = object.kind === role.kind && object.metadata.name === role.metadata.name
  return isIt ? role : object
}

async function as(
  headers: Record<string, string | string[]>,
  method: string,
  path: string,
  body?: object,
): Promise<Outcome> {
  return await api.callWithToken(gatewayToken, method, path, {
    headers,
    ...(body === undefined ? {} : { body }),
  })
}

describe('with constrained impersonation', () => {
  beforeAll(async () => {
    ;({ api, gatewayToken } = await startShipped({
      apiServer: NEWER_API_SERVER,
      change: constrained,
    }))
    const gateway = { kind: 'ServiceAccount', name: 'podgate', namespace: 'podgate-system' }
    await api.create(binding('podgate', 'podgate-as-service-account', gateway, 'shop'))
    // So that what is refused is refused to the gateway, not to her.
    await api.create(binding('all', 'cluster-admin', group('staff')))
    await until('ana is let through', async () => {
      return (await as(impersonationHeaders(ANA), 'GET', PODS)).code === 200
    })
  }, 120_000)

  afterAll(async () => {
    await api.close()
  })

  it.each<[string, string, string, object | undefined, number]>([
    ['open a session, of a pod that is not there', 'GET', EXEC, undefined, 404],
    ['look at pods', 'GET', PODS, undefined, 200],
    ['look at workloads', 'GET', '/apis/apps/v1/deployments', undefined, 200],
    ['find out what there is', 'GET', '/apis', undefined, 200],
    ['look at requests', 'GET', '/apis/podgate.dev/v1alpha1/approvalrequests', undefined, 200],
    [
      'ask what they may',
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      { kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: { verb: 'get' } } },
      200,
    ],
  ])('people %s', async (_name, method, path, body, code) => {
    expect(await as(impersonationHeaders(ANA), method, path, body)).toMatchObject({ code })
  })

  it('people are who they are, with the marks of the gateway', async () => {
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
    const review = await as(impersonationHeaders(ANA), 'POST', path, body)
    expect(statusOf<object>(review.body)).toEqual({
      userInfo: { username: 'ana', groups: ['dev', 'staff', 'system:authenticated'], extra: MARKS },
    })
  })

  it.each<[string, string, string, object | undefined]>([
    ['reads secrets', 'GET', '/api/v1/secrets', undefined],
    ['makes pods', 'POST', PODS, { kind: 'Pod', metadata: { name: 'x' } }],
    [
      'changes who may what',
      'POST',
      '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
      binding('mine', 'cluster-admin', group('dev')),
    ],
    ['deletes a namespace', 'DELETE', '/api/v1/namespaces/open', undefined],
  ])('with its token nobody %s, not even as an admin', async (_name, method, path, body) => {
    expect(await as(impersonationHeaders(ANA), method, path, body)).toMatchObject({
      code: 403,
      message: expect.stringContaining('impersonate-on:user-info:'),
    })
  })

  it.each<[string, Record<string, string | string[]>]>([
    ['the masters', { 'Impersonate-User': 'ana', 'Impersonate-Group': ['system:masters'] }],
    ['a node', { 'Impersonate-User': 'system:node:n1', 'Impersonate-Group': ['system:nodes'] }],
    [
      'a controller',
      { 'Impersonate-User': 'system:serviceaccount:kube-system:generic-garbage-collector' },
    ],
    ['somebody with a scope of their own', { ...impersonationHeaders(ANA), ...scope() }],
  ])('with its token nobody is %s', async (_name, headers) => {
    expect(await as(headers, 'GET', PODS)).toMatchObject({
      code: 403,
      message: expect.stringContaining('impersonate'),
    })
  })

  function scope(): Record<string, string> {
    return { 'Impersonate-Extra-Scopes': 'all' }
  }

  it('service accounts of a namespace that lets them in come as themselves', async () => {
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
    const username = 'system:serviceaccount:shop:helper'
    const pod = { 'authentication.kubernetes.io/pod-name': ['helper-0'] }
    const headers = impersonationHeaders({
      username,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
      uid: 'u-1',
      extra: { ...pod, ...MARKS },
      credential: { kind: 'ServiceAccount' },
    })
    const review = await as(headers, 'POST', path, body)
    expect(statusOf<object>(review.body)).toEqual({
      userInfo: {
        username,
        uid: 'u-1',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
        extra: { ...pod, ...MARKS },
      },
    })
    const elsewhere = { ...headers, 'Impersonate-User': username.replace('shop', 'open') }
    expect(await as(elsewhere, 'POST', path, body)).toMatchObject({ code: 403 })
  })
})

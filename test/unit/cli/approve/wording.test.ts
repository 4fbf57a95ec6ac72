import { describe, expect, it } from '@jest/globals'

import { formatRows } from '../../../../lib/cli/approve/list.ts'
import { describeRequest } from '../../../../lib/cli/approve/show.ts'
import { whatIsAsked } from '../../../../lib/cli/approve/wording.ts'
import { hasUnsafeCharacters } from '../../../../lib/streams/sanitize-terminal.ts'
import { ASKED, buildRequest, condition, CY, decision, NOW, ONCALL, TARGET } from './requests.ts'

const bo = { username: 'bo', groups: ['oncall'] }

describe('what is asked', () => {
  it.each([
    { asked: 'attach', want: 'attach to shop/web-0 (container main)', row: 'web-0   (attach)' },
    {
      asked: 'forward',
      want: 'port-forward to shop/web-0 port 5432',
      row: 'web-0   (port-forward port 5432)',
    },
    { asked: 'opening', want: 'port-forward to shop/web-0', row: 'web-0   (port-forward)' },
    {
      asked: 'logs',
      want: 'read logs of shop/web-0 (container main)',
      row: 'web-0   (logs) --tail=5',
    },
    {
      asked: 'download',
      want: 'copy from shop/web-0 (container main)',
      row: 'web-0   tar cf - /etc/motd',
    },
    {
      asked: 'upload',
      want: 'copy to shop/web-0 (container main)',
      row: 'web-0   tar --no-same-owner -...',
    },
    { asked: 'debug', want: 'debug shop/web-0 with busybox', row: 'web-0   (debug) busybox' },
    {
      asked: 'root',
      want: 'debug shop/web-0 with busybox (privileged)',
      row: 'web-0   (debug, privileged) b...',
    },
    {
      asked: 'podProxy',
      want: 'use the proxy of pod shop/web-0 port 80',
      row: 'web-0   (proxy port 80)',
    },
    {
      asked: 'service',
      want: 'use the proxy of service shop/web port 80',
      row: 'service/web   (proxy port 80)',
    },
    {
      asked: 'token',
      want: 'mint tokens for service account shop/ci',
      row: '-     (token of ci)',
    },
  ])('$want', ({ asked, want, row }) => {
    const request = buildRequest({ spec: ASKED[asked] ?? {} })
    expect(whatIsAsked(request)).toBe(want)
    expect(formatRows([request], false, NOW)).toContain(`ana         ${row}`)
  })

  it('is exec with its container for a shell', () => {
    expect(whatIsAsked(buildRequest())).toBe('exec into shop/web-0 (container main)')
  })

  it.each<{ asked: string; shown: string[] }>([
    {
      asked: 'forward',
      shown: ['Pod:        web-0', 'Ports:      5432', 'Command:    <none>'],
    },
    { asked: 'service', shown: ['Service:    web', 'Ports:      80'] },
    { asked: 'token', shown: ['Account:    ci'] },
    {
      asked: 'debug',
      shown: [
        'Privileged:  no',
        'With image:  busybox',
        'Running:     sh',
        'Sees:        the processes of main',
        'Adds:        SYS_PTRACE',
      ],
    },
    {
      asked: 'root',
      shown: [
        'Privileged:  YES: as good as root on the node',
        'Running:     <what the image runs>',
        'Sees:        <itself>',
        'Adds:        <none>',
      ],
    },
  ])('is shown with all its parts: $asked', ({ asked, shown }) => {
    const text = describeRequest(buildRequest({ spec: ASKED[asked] ?? {} }), bo, NOW)
    expect(text.split('\n')).toEqual(expect.arrayContaining(shown))
    expect(text).not.toMatch(/^(Pod|Container|Image|Ports|Service):\s*$/m)
  })

  it('lets nothing of a stranger act on the terminal in a debug container either', () => {
    const evil = 'x\n\x1b]0;t\x07\u202e'
    const debug = {
      image: evil,
      command: [evil],
      targetContainer: evil,
      capabilities: [evil],
      privileged: false,
      digest: '',
    }
    const target = { ...TARGET, service: evil, serviceAccount: evil }
    for (const operation of ['Debug', 'Proxy', 'TokenRequest'] as const) {
      const request = buildRequest({ spec: { operation, debug, target } })
      const texts = [
        describeRequest(request, bo, NOW),
        formatRows([request], true, NOW),
        whatIsAsked(request),
      ]
      for (const text of texts) {
        expect(hasUnsafeCharacters(text.replaceAll('\n', ''))).toBe(false)
      }
      expect(formatRows([request], true, NOW).split('\n')).toHaveLength(3)
    }
  })
})

describe('the list', () => {
  it('fits into 80 columns for usual names', () => {
    const text = formatRows(
      [buildRequest({ command: ['sh', '-c', 'x y '.repeat(50)] })],
      false,
      NOW,
    )
    expect(text.split('\n')).toEqual([
      'NAMESPACE   NAME        REQUESTER   POD     COMMAND                    EXPIRES',
      "shop        apreq-7k2   ana         web-0   sh -c 'x y x y x y x ...   5m",
      '',
    ])
  })

  it('tells everything with -o wide', () => {
    const request = buildRequest({ demands: [[ONCALL, CY], [CY]] })
    expect(formatRows([request], true, NOW).split('\n')[1]).toBe(
      'shop        apreq-7k2   ana         web-0   sh        5m        30s   main        shop/web:1   dev,system:authenticated   group oncall, user cy; and user cy   policy-0,policy-1',
    )
  })
})

describe('show', () => {
  it('says who, what, where, by which policy and until when', () => {
    expect(describeRequest(buildRequest(), bo, NOW).split('\n')).toEqual([
      'Name:       apreq-7k2',
      'Namespace:  shop',
      'State:      Pending',
      'Requester:  ana',
      'Groups:     dev, system:authenticated',
      'Operation:  Exec (interactive terminal)',
      'Pod:        web-0',
      'Container:  main',
      'Image:      shop/web:1',
      'Command:    sh',
      'Policies:   AccessPolicy shop/policy-0',
      'Approvers:  group oncall',
      'Asked:      30s ago',
      'Expires:    10:05 UTC (in 5m)',
      'Valid for:  30m',
      'You:        may decide: kubectl approve apreq-7k2 -n shop',
      '',
    ])
  })

  it('says until when an approval can be used, and who gave it', () => {
    const text = describeRequest(
      buildRequest({
        decisions: [decision('bo', 'Approve', ['oncall'], 'INC-1')],
        conditions: [condition('Approved')],
      }),
      bo,
      NOW,
    )
    expect(text).toContain('State:        Approved (approved by bo: "INC-1")\n')
    expect(text).toContain('Valid until:  10:30 UTC (in 30m)\n')
    expect(text).toContain('Decision:     bo approved at 2026-11-22T10:00:00.000Z: "INC-1"\n')
  })

  it('says whose approval is missing', () => {
    const text = describeRequest(
      buildRequest({ demands: [[ONCALL], [CY]], decisions: [decision('bo', 'Approve')] }),
      bo,
      NOW,
    )
    expect(text).toContain('State:      Pending (needs also: user cy)\n')
    expect(text).toContain('You:        have approved it\n')
  })

  it('lets nothing of a stranger act on the terminal, nor draw a line of its own', () => {
    const evil = 'x\n\x1b]0;t\x07\u202e'
    const request = buildRequest({
      name: evil,
      namespace: evil,
      requester: evil,
      command: [evil],
      demands: [[{ kind: 'User', name: evil }]],
      decisions: [decision(evil, 'Approve', [], evil)],
      conditions: [condition('Expired', evil)],
    })
    const plain = describeRequest(
      buildRequest({ decisions: [decision('x', 'Approve')], conditions: [condition('Expired')] }),
      bo,
      NOW,
    )
    for (const text of [describeRequest(request, bo, NOW), formatRows([request], true, NOW)]) {
      expect(hasUnsafeCharacters(text.replaceAll('\n', ''))).toBe(false)
    }
    expect(describeRequest(request, bo, NOW).split('\n')).toHaveLength(plain.split('\n').length)
    expect(formatRows([request], true, NOW).split('\n')).toHaveLength(3)
  })
})

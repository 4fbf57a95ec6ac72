import { describe, expect, it } from '@jest/globals'

import { Valve } from '../../../../lib/proxy/forward/valve.ts'

describe('a valve', () => {
  it('stops its source once, and lets it go on when the last reason is gone', () => {
    const calls: string[] = []
    const valve = new Valve({
      pause: () => calls.push('pause'),
      resume: () => calls.push('resume'),
    })
    valve.release('peer')
    valve.stop('peer')
    valve.stop('record')
    valve.stop('peer')
    valve.release('record')
    expect(calls).toEqual(['pause'])
    valve.release('peer')
    valve.release('peer')
    expect(calls).toEqual(['pause', 'resume'])
  })
})

import { describe, expect } from 'vitest'
import { beginRun, onKafka } from '../kit/scenario.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

describe.concurrent('G1, G2, G4: two relays', () => {
  onKafka('have one owner; a frozen one is replaced, and does no harm when it wakes up', { timeout: 90_000 }, async () => {
    await using run = await beginRun()
    await run.publishAll(keys, 30)
    // It freezes with a batch that was sent and not removed, and more of them in its lanes.
    const frozen = run.spawn({ run: ['relay'], failpoints: [{ at: 'relay.acked', nth: 4, act: 'SIGSTOP' }] })
    await frozen.says('failpoint relay.acked 4')
    const second = run.spawn({ run: ['relay', 'consume'] })

    await second.says('relay.term_started')
    await run.publishAll(keys, 10)
    await run.drained()
    frozen.kill('SIGCONT')
    await run.publishAll(keys, 10)
    frozen.kill('SIGTERM')
    await frozen.says('stopped')
    await run.drained()
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject({ committed: 250, logged: 250, effects: 250 })
    expect(verdict.counts.sentAgain).toBeGreaterThan(0)
    expect(frozen.fired('relay.acked')).toBe(true)
  })

  onKafka('hand over at once when the owner stops in order', { timeout: 60_000 }, async () => {
    await using run = await beginRun()
    const relay = { lease: '60s' } as const
    const first = run.spawn({ run: ['relay'], relay })
    await first.says('relay.term_started')
    const second = run.spawn({ run: ['relay'], relay })
    await second.says('ready')
    expect(second.lines).not.toContain('relay.term_started')

    first.kill('SIGTERM')

    await second.says('relay.term_started', 10_000)
  })
})

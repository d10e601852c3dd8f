import { describe, expect } from 'vitest'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { until } from '../kit/wait.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

describe.concurrent('G2, G3, G4: stop() loses nothing', () => {
  onKafka('a SIGTERM in the middle of a batch ends the program in order, and the next one goes on', { timeout: 60_000 }, async () => {
    await using run = await beginRun({ partitions: 2 })
    await run.publishAll(keys, 30)
    const first = run.spawn({ run: ['relay', 'consume'], handlerMs: 5, failpoints: [{ at: 'delivery.started', nth: 100, act: 'SIGTERM' }] })
    const end = await first.ended()
    const effectsAtStop = await run.count('effect')
    const settled = await run.query('select sum(next_offset)::int as at from trunkline.consumer_position')

    run.spawn({ run: ['relay', 'consume'] })
    await run.drained()
    const verdict = await run.judge()

    expect(end).toEqual({ code: 0, signal: null })
    expect(first.lines).toContain('stopped')
    expect(effectsAtStop).toBeGreaterThan(0)
    expect(effectsAtStop).toBeLessThan(150)
    // What was begun was finished or rolled back: no effect without its position.
    expect(settled).toEqual([{ at: effectsAtStop }])
    expect(verdict.violations).toEqual([])
    expect(verdict.counts.effects).toBe(150)
  })

  onKafka('members that come and go every second share the work, and every effect is made once', { timeout: 180_000 }, async () => {
    await using run = await beginRun()
    await run.publishAll(keys, 15)
    const steady = run.spawn({ run: ['relay', 'consume'], handlerMs: 20 })
    await steady.says('consumer.assigned')
    for (let round = 0; round < 3; round++) {
      const guest = run.spawn({ run: ['consume'], handlerMs: 20 })
      const effects = await run.count('effect')
      await guest.says('consumer.assigned')
      // While both are there: how fast they are must not decide whether there is something to share.
      await run.publishAll(keys, 15)
      await until('some effects more', async () => (await run.count('effect')) > effects + 5, 60_000)
      guest.kill('SIGTERM')
      await guest.ended()
    }
    await run.drained()
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts.effects).toBe(300)
  })
})

import { Kafka, logLevel } from 'kafkajs'
import { describe, expect } from 'vitest'
import { beginRun, onKafka } from '../kit/scenario.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

/** What Kafka does to a group that was away for long. */
async function forgetGroup(brokers: readonly string[], group: string): Promise<void> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.deleteGroups([group])
  await admin.disconnect()
}

describe.concurrent('G2, G3, G4: where a group stands is in its database', () => {
  onKafka('offsets that Kafka has forgotten lose nothing and repeat nothing', { timeout: 90_000 }, async () => {
    await using run = await beginRun()
    await run.publishAll(keys, 6)
    const first = run.spawn({ run: ['relay', 'consume'] })
    await run.drained()
    first.kill('SIGTERM')
    await first.ended()
    await forgetGroup(run.servers.brokers, run.group)
    await run.publishAll(keys, 4)
    run.spawn({ run: ['relay', 'consume'] })
    await run.drained()
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts.effects).toBe(50)
  })

  onKafka(
    'a consumer that is frozen in its transaction, past its session, does no harm when it wakes up',
    { timeout: 120_000 },
    async () => {
      await using run = await beginRun()
      await run.publishAll(keys, 12)
      const frozen = run.spawn({ run: ['relay', 'consume'], failpoints: [{ at: 'delivery.started', nth: 17, act: 'SIGSTOP' }] })
      await frozen.says('failpoint delivery.started 17')
      run.spawn({ run: ['relay', 'consume'] })
      await run.publishAll(keys, 4)
      await run.drained({ withinMs: 60_000 })

      frozen.kill('SIGCONT')
      await run.publishAll(keys, 4)
      await run.drained({ withinMs: 60_000 })
      const verdict = await run.judge()

      expect(verdict.violations).toEqual([])
      expect(verdict.counts).toMatchObject({ committed: 100, effects: 100 })
    },
  )
})

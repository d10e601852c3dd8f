import { describe, expect } from 'vitest'
import type { Variant } from '../kit/broken/variants.ts'
import type { FailpointName } from '../kit/failpoints.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

const keys = ['a', 'b', 'c', 'd', 'e']

/** A consumer dies at the failpoint; the next one waits until Kafka has given up the dead member, and goes on. */
async function consumerDies(at: FailpointName, broken?: Variant) {
  await using run = await beginRun()
  await run.publishAll(keys, 12)
  const variant = broken === undefined ? {} : { broken }
  const first = run.spawn({
    run: ['relay', 'consume'],
    failpoints: [{ at, nth: at.startsWith('delivery.') ? 17 : 1, act: 'SIGKILL' }],
    ...variant,
  })
  const { signal } = await first.ended()
  const effectsAtDeath = await run.count('effect')
  run.spawn({ run: ['relay', 'consume'], ...variant })
  await run.drained()
  return { signal, fired: first.fired(at), effectsAtDeath, ...(await run.judge()) }
}

describe.concurrent('G2, G3, G4: the consumer is killed', () => {
  const failpoints: FailpointName[] = ['batch.claimed', 'delivery.started', 'batch.committing', 'batch.committed']
  for (const at of failpoints) {
    onKafka(`at ${at}: every effect is made once and in order`, { timeout: 90_000 }, async () => {
      const run = await consumerDies(at)

      expect(run).toMatchObject({ fired: true, signal: 'SIGKILL', violations: [] })
      expect(run.counts).toMatchObject({ committed: 60, effects: 60 })
    })
  }

  onKafka('between effect and offset commit: the effect is there and is not made again', { timeout: 90_000 }, async () => {
    const run = await consumerDies('offset.committing')

    expect(run).toMatchObject({ fired: true, violations: [] })
    expect(run.effectsAtDeath).toBeGreaterThan(0)
    expect(run.counts.effects).toBe(60)
  })
})

describe.concurrent('the judge catches', () => {
  onKafka('a consumer that commits its position before the effect', { timeout: 90_000 }, async () => {
    const run = await consumerDies('delivery.started', 'commit-before-effect')

    expect(run.fired).toBe(true)
    expect(run.violations).toContainEqual(expect.stringMatching(/^lost: committed and neither applied nor kept/))
  })
})

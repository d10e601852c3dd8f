import { describe, expect } from 'vitest'
import type { Variant } from '../kit/broken/variants.ts'
import type { FailpointName } from '../kit/failpoints.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { until } from '../kit/wait.ts'

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

describe.concurrent('G6, G7: a handler uses up the memory of its process', () => {
  // Also messages that abort and block, until all are dead letters: npm run prove -- crash-loops.
  onKafka('its message is set aside with the reason, its neighbours are applied, and the group goes on', { timeout: 120_000 }, async () => {
    await using run = await beginRun({ partitions: 1 })
    await run.publishAll(['a', 'b'], 2)
    await run.publish('leaking', 'leaks')
    await run.publishAll(['a', 'b', 'leaking'], 2)
    const kept = () => run.query('select state, attempts, reason_code from trunkline.parked_message order by seq')

    const ends: (string | null)[] = []
    while ((await kept()).length < 3) {
      const worker = run.spawn({ run: ['relay', 'consume'], heapMb: 48 })
      await until('the end of the program, or of its troubles', async () => !worker.running || (await kept()).length === 3, 60_000)
      if (!worker.running) ends.push((await worker.ended()).signal)
    }
    await until('the effects of the neighbours', async () => (await run.count('effect')) === 8, 60_000)

    // Once in a batch and once alone; its first retry may be on its way.
    expect(ends.slice(0, 2)).toEqual(['SIGABRT', 'SIGABRT'])
    expect((await kept()).map(({ reason_code: code }) => code)).toEqual(['PROCESS_ENDED', 'KEY_PARKED', 'KEY_PARKED'])
  })
})

describe.concurrent('the judge catches', () => {
  onKafka('a consumer that commits its position before the effect', { timeout: 90_000 }, async () => {
    const run = await consumerDies('delivery.started', 'commit-before-effect')

    expect(run.fired).toBe(true)
    expect(run.violations).toContainEqual(expect.stringMatching(/^lost: committed and neither applied nor kept/))
  })
})

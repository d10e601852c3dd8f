import { expect } from 'vitest'
import { heldByConsumer, publishBacklog } from '../kit/memory-proof.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

// The relay, and a backlog that is three times as large: npm run prove -- memory.
onKafka('G8: a consumer does not hold what waits for it while its database does not answer', { timeout: 120_000 }, async () => {
  await using run = await beginRun({ partitions: 2 })
  // 160 MB, and a program that has nothing to do holds 25: with all of it, one would hold 185. What may be fetched ahead,
  // the replies on their way and a batch come to about 80.
  await publishBacklog(run, { messages: 200, messageBytes: 800_000 })
  const relay = run.spawn({ run: ['relay'], relay: { lease: '10s', batchSize: 1_000 } })
  await run.relayed()
  relay.kill('SIGKILL')

  const heldMb = await heldByConsumer(run)
  const verdict = await run.judge()

  expect(heldMb).toBeGreaterThan(20)
  expect(heldMb).toBeLessThan(140)
  expect(verdict.violations).toEqual([])
  expect(verdict.counts).toMatchObject({ committed: 200, effects: 200 })
})

import { expect, onTestFinished, test } from 'vitest'
import type { OutboxStore } from '../../../src/core/outbox/outbox-store.ts'
import { Renewal } from '../../../src/core/outbox/renewal.ts'
import { systemClock } from '../../../src/foundation/clock.ts'

const LEASE_MS = 60_000

/** A renewal that runs, the time that it sees, and what it asked. */
function running(answer: boolean) {
  const seen = { nowMs: 0, renewals: 0, reasons: [] as string[] }
  const store: Pick<OutboxStore, 'renew'> = {
    renew: async () => {
      seen.renewals++
      return answer
    },
  }
  const clock = { ...systemClock, monotonic: () => seen.nowMs }
  const renewal = new Renewal({ store, clock }, { owner: 'one', epoch: 1n }, LEASE_MS, {
    floor: () => 0n,
    onOver: (reason) => seen.reasons.push(reason),
  })
  const stopped = new AbortController()
  const done = renewal.run(stopped.signal)
  onTestFinished(() => stopped.abort())
  const looksAt = async (nowMs: number): Promise<number> => {
    seen.nowMs = nowMs
    renewal.looks()
    await new Promise(setImmediate)
    return seen.renewals
  }
  return { seen, done, looksAt }
}

test('goes along with a look when its time is near, once', async () => {
  const { looksAt } = running(true)

  const renewals = [await looksAt(16_000), await looksAt(17_500), await looksAt(18_000), await looksAt(34_000), await looksAt(35_000)]

  expect(renewals).toEqual([0, 1, 1, 1, 2])
})

test('says that the term is over when the lease is not its own any more', async () => {
  const { seen, done, looksAt } = running(false)

  await looksAt(20_000)
  await done

  expect(seen.reasons).toEqual(['another owner took the lease'])
})

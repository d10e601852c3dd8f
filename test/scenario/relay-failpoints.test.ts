import { expect } from 'vitest'
import { killRelays } from '../kit/outbox-proof.ts'
import { Random } from '../kit/random.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

onKafka(
  'G1, G2, G4, G6: a relay that dies or freezes at any of its steps loses nothing and lets nothing overtake',
  { timeout: 180_000 },
  async () => {
    await using run = await beginRun()
    const seed = Date.now() % 100_000

    const faults = await killRelays(run, new Random(seed), 1)
    await run.drained()
    const verdict = await run.judge()

    expect(
      Object.values(faults).every(({ planned, fired }) => fired === planned),
      `seed ${seed}: ${JSON.stringify(faults)}`,
    ).toBe(true)
    expect(verdict.violations, `seed ${seed}`).toEqual([])
    expect(verdict.counts.committed).toBeGreaterThan(100)
  },
)

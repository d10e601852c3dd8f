import { describe, expect } from 'vitest'
import { absences } from '../kit/absences.ts'
import { Random } from '../kit/random.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'

// Ten times of minutes: npm run prove -- absences.
describe('G2–G6: servers that are away again and again', () => {
  onKafka('are come back to by the same process, with nothing lost, doubled or overtaken', { timeout: 150_000 }, async () => {
    await using run = await beginRun()

    const faults = await absences(run, new Random(Date.now()), { times: 2, awayMs: 500 })
    const { violations, counts } = await run.judge()

    expect(Object.values(faults).every(({ planned, fired }) => fired === planned)).toBe(true)
    expect(violations).toEqual([])
    expect(counts.effects).toBe(85)
  })
})

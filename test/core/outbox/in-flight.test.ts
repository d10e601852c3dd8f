import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InFlight } from '../../../src/core/outbox/in-flight.ts'
import type { PendingRow } from '../../../src/core/outbox/outbox-store.ts'

function rowOf(seq: bigint, released: bigint[]): PendingRow {
  const bytes = { key: null, value: null, headers: [], size: Number(seq) + 1, release: () => void released.push(seq) }
  return { seq, topic: 't', id: `id ${seq}`, keyHash: 0, timestampMs: 0, ...bytes }
}

test('knows what is in flight, in whatever order rows come and leave, and releases each once', () => {
  const steps = fc.array(fc.record({ adds: fc.nat({ max: 5 }), forgets: fc.nat({ max: 5 }), pick: fc.nat() }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (all) => {
      const inFlight = new InFlight()
      const released: bigint[] = []
      let next = 0n
      let here: PendingRow[] = []
      const left: PendingRow[] = []
      for (const { adds, forgets, pick } of all) {
        const added = Array.from({ length: adds }, () => rowOf(next++, released))
        for (const row of added) inFlight.add(row)
        here.push(...added)
        const leaving = here.filter((_, index) => (index + pick) % 3 === 0).slice(0, forgets)
        // What is gone already is passed over.
        inFlight.forget([...leaving, ...left.slice(-2)])
        here = here.filter((row) => !leaving.includes(row))
        left.push(...leaving)
        const seqs = here.map(({ seq }) => seq)
        const mark = BigInt(pick % 50)

        expect([...inFlight.rows].map(({ seq }) => seq).toSorted(ascending)).toEqual(seqs)
        expect(inFlight.above(mark).toSorted(ascending)).toEqual(seqs.filter((seq) => seq > mark))
        expect(inFlight).toMatchObject({ size: here.length, lowest: seqs[0] })
        expect(inFlight.bytes).toBe(here.reduce((sum, { size }) => sum + size, 0))
      }

      expect(released).toEqual(left.map(({ seq }) => seq))
    }),
    { numRuns: 100 },
  )
})

test('lets nobody take away a row that it does not have', () => {
  const released: bigint[] = []
  const [one, other] = [new InFlight(), new InFlight()]
  const [mine, others] = [rowOf(1n, released), rowOf(2n, released)]
  one.add(mine)
  other.add(others)

  one.forget([others])

  expect([...one.rows]).toEqual([mine])
  expect(released).toEqual([])
})

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : 1
}

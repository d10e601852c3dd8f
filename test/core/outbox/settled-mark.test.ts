import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PassResult } from '../../../src/core/outbox/outbox-store.ts'
import { SettledMark } from '../../../src/core/outbox/settled-mark.ts'

/** What one pass sees of a server on which nothing is open. */
function seen(more: Partial<PassResult>): PassResult {
  return { rows: [], limited: false, lastNumber: 0n, oldestRunning: 0n, assumptionHolds: true, running: [], ...more }
}

describe('the mark', () => {
  test('moves to a number when a transaction that began after it was read is settled', () => {
    const mark = new SettledMark()
    mark.note(10n, 100n, 0)

    mark.move(seen({ oldestRunning: 100n }), 0n, 50n)

    expect(mark.at).toBe(10n)
  })

  test('stays while that transaction is not settled', () => {
    const mark = new SettledMark()
    mark.note(10n, 100n, 0)

    mark.move(seen({ oldestRunning: 99n }), 0n, 50n)

    expect(mark.at).toBe(0n)
  })

  test('goes no further than what was read', () => {
    const mark = new SettledMark()
    mark.note(10n, 100n, 0)

    mark.move(seen({ oldestRunning: 100n }), 0n, 7n)
    mark.move(seen({ oldestRunning: 100n }), 7n, 50n)

    expect(mark.at).toBe(10n)
  })

  test('moves after 250 ms under an assumption, and a pass that breaks it is thrown away', () => {
    const mark = new SettledMark()
    mark.note(10n, 100n, 0)
    expect(mark.namesRunningBelow(249)).toBe(undefined)
    expect(mark.namesRunningBelow(250)).toBe(100n)

    mark.move(seen({ oldestRunning: 42n, running: [42n] }), 0n, 50n)

    expect([mark.at, mark.hard, mark.assumedRunning]).toEqual([10n, 0n, [42n]])
    expect(mark.accepts(seen({ oldestRunning: 42n }))).toBe(true)
    expect(mark.accepts(seen({ oldestRunning: 100n, assumptionHolds: false }))).toBe(false)
    expect([mark.at, mark.assumedRunning]).toEqual([0n, []])
  })

  test('that was reset is not moved by a pass that began before', () => {
    const mark = new SettledMark()
    mark.note(10n, 100n, 0)
    mark.move(seen({ oldestRunning: 100n }), 0n, 50n)

    mark.reset()
    mark.move(seen({ oldestRunning: 200n }), 10n, 60n)

    expect(mark.at).toBe(0n)
  })
})

/** One transaction of the model: its rows have numbers, and it is over or not. */
interface Modelled {
  readonly id: bigint
  readonly numbers: bigint[]
  state: 'running' | 'committed' | 'aborted'
}

/** PostgreSQL as far as the mark relies on it: numbers and ids are given in order, what is committed is visible. */
class Model {
  readonly transactions: Modelled[] = []
  #nextId = 1n
  lastNumber = 0n

  begin(): Modelled {
    const transaction: Modelled = { id: this.#nextId++, numbers: [], state: 'running' }
    this.transactions.push(transaction)
    return transaction
  }

  insert(transaction: Modelled): void {
    if (transaction.state === 'running') transaction.numbers.push(++this.lastNumber)
  }

  newTransactionId(): bigint {
    return this.#nextId++
  }

  get running(): bigint[] {
    return this.transactions.filter(({ state }) => state === 'running').map(({ id }) => id)
  }

  get visible(): bigint[] {
    return this.transactions
      .filter(({ state }) => state === 'committed')
      .flatMap(({ numbers }) => numbers)
      .toSorted((a, b) => Number(a - b))
  }
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ act: 'begin' as const }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('insert' as const), which: fc.nat(7) }) },
  { weight: 3, arbitrary: fc.record({ act: fc.constant('end' as const), which: fc.nat(7), commits: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ act: fc.constant('pass' as const), limit: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.constant({ act: 'note' as const }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('wait' as const), ms: fc.constantFrom(5, 260) }) },
)

test('no row below the mark is ever missed, whatever is open, whoever ends, and however short a pass is', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const model = new Model()
      const mark = new SettledMark()
      const read = new Set<bigint>()
      let [now, lastSeen] = [0, 0n]
      for (const each of steps) {
        const open = model.transactions.filter(({ state }) => state === 'running')
        if (each.act === 'begin') model.insert(model.begin())
        if (each.act === 'wait') now += each.ms
        if (each.act === 'note') mark.note(lastSeen, model.newTransactionId(), now)
        if (each.act === 'insert' || each.act === 'end') {
          const chosen = open[each.which % Math.max(1, open.length)]
          if (chosen !== undefined && each.act === 'insert') model.insert(chosen)
          if (chosen !== undefined && each.act === 'end') chosen.state = each.commits ? 'committed' : 'aborted'
        }
        if (each.act === 'pass') lastSeen = pass(model, mark, read, { limit: each.limit, now })

        // In this very snapshot: what is visible below the mark was read, as long as the assumption holds.
        if (mark.assumedRunning.some((id) => !model.running.includes(id))) continue
        expect(model.visible.filter((number) => number <= mark.at && !read.has(number))).toEqual([])
      }
    }),
    { numRuns: 2_000 },
  )
})

function pass(model: Model, mark: SettledMark, read: Set<bigint>, { limit, now }: { limit: number; now: number }): bigint {
  const after = mark.at
  const below = mark.namesRunningBelow(now)
  const pending = model.visible.filter((number) => number > after && !read.has(number))
  const shown = pending.slice(0, limit)
  const result = seen({
    limited: shown.length >= limit,
    lastNumber: model.lastNumber,
    oldestRunning: model.running[0] ?? model.newTransactionId(),
    assumptionHolds: mark.assumedRunning.every((id) => model.running.includes(id)),
    running: model.running.filter((id) => below !== undefined && id < below),
  })
  if (!mark.accepts(result)) return model.lastNumber
  for (const number of shown) read.add(number)
  mark.move(result, after, result.limited ? (shown.at(-1) ?? 0n) : 1_000_000n)
  return model.lastNumber
}

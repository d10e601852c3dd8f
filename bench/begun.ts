import { PostgresPositionStore } from '../src/adapters/postgres/position-store.ts'
import { consumed, makeRecords, onGround } from './consume-ground.ts'
import type { BenchContext } from './context.ts'
import { median, type Row, toRow } from './result.ts'

/** A batch is of at most five hundred; larger ones would have less to note. */
const MESSAGES = 10_000
const ROUNDS = 10

/**
 * What the note costs that a batch has begun, by which a successor knows what may have ended this process: the same
 * messages with it and without, in turn, many times in one process, because two runs differ by more than it costs.
 */
export async function begun(context: BenchContext): Promise<readonly Row[]> {
  const records = await makeRecords(MESSAGES)
  const rate = (name: string): Promise<number> =>
    onGround(context, `begun-${name}`, (connectionString) => consumed({ connectionString, records }))
  const unnoted = (name: string): Promise<number> => withoutNote(() => rate(name))
  await rate('warm')
  const costs: number[] = []
  for (let round = 1; round <= ROUNDS * context.runs; round++) {
    const first = round % 2 === 0 ? await rate(`${round}`) : await unnoted(`${round}`)
    const second = round % 2 === 0 ? await unnoted(`${round}`) : await rate(`${round}`)
    const [noted, bare] = round % 2 === 0 ? [first, second] : [second, first]
    costs.push(100 * (1 - noted / bare))
    context.say(`round ${round}: ${Math.round(noted)} messages/s noted, ${Math.round(bare)} not`)
  }
  const name = `cost of noting that a batch has begun, in order, ${costs.length} rounds`
  return [toRow({ bench: 'begun', name, figure: median(costs), unit: '%', atMost: 3 })]
}

/** The product has no such switch: who notes nothing charges nobody when a process dies. */
async function withoutNote<Result>(work: () => Promise<Result>): Promise<Result> {
  const { prototype } = PostgresPositionStore
  const mark: unknown = Reflect.get(prototype, 'mark')
  Reflect.set(prototype, 'mark', async () => true)
  try {
    return await work()
  } finally {
    Reflect.set(prototype, 'mark', mark)
  }
}

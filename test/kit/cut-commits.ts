import { createPool, PostgresDatabase } from '../../src/adapters/postgres/database.ts'
import type { TransactionOutcome } from '../../src/core/database/database.ts'
import type { DiagnosticCatalogue } from '../../src/core/diagnostics.ts'
import { systemClock } from '../../src/foundation/clock.ts'
import { Diagnostics } from '../../src/foundation/diagnostics.ts'
import { isTrunklineError, UnknownOutcomeError } from '../../src/foundation/errors.ts'
import { PostgresProxy } from './postgres-proxy.ts'
import type { Random } from './random.ts'
import { until } from './wait.ts'

/** What a program was told of its transactions, and where that was not true. */
export interface CutReport {
  readonly planned: number
  readonly fired: number
  readonly told: Readonly<Record<TransactionOutcome, number>>
  /** Of the unknown ones: what the server said when it could be asked again. */
  readonly toldLater: Readonly<Record<TransactionOutcome, number>>
  readonly wrong: readonly string[]
}

/** One transaction, and what the program believes of it. */
type Transact = (database: PostgresDatabase, n: number) => Promise<{ outcome: TransactionOutcome; transactionId?: string }>

/**
 * Cuts the connection at COMMIT, before the server hears of it or after it has answered, `times` times; each fourth time
 * the network also stays away while the program asks. Then the table is compared with what the program was told.
 *
 * @param url a database that has no table `cut`
 */
export async function cutCommits(url: string, times: number, random: Random, transact: Transact = honest): Promise<CutReport> {
  await using proxy = await new PostgresProxy(url).start()
  const pool = createPool({
    connection: { connectionString: proxy.url },
    maxConnections: 2,
    connectTimeoutMs: 500,
    answerTimeoutMs: 5_000,
    applicationName: 'cut',
  })
  const diagnostics = new Diagnostics<DiagnosticCatalogue>()
  const limits = { lockTimeoutMs: 2_000, idleInTransactionMs: 10_000, outcomeDeadlineMs: 200 }
  const database = new PostgresDatabase({ pool, ownsPool: true, diagnostics, clock: systemClock }, limits)
  const told = { committed: 0, aborted: 0, unknown: 0 }
  const toldLater = { committed: 0, aborted: 0, unknown: 0 }
  const believed = new Map<number, TransactionOutcome>()
  try {
    await database.outside.query('create table cut (n int primary key)')
    for (let n = 0; n < times; n++) {
      const away = n % 4 === 3
      proxy.cutNextCommit(random.pick(['lose the reply', 'lose the request']), away ? () => proxy.refuse() : undefined)
      const { outcome, transactionId } = await transact(database, n)
      proxy.pass()
      told[outcome]++
      const later = outcome === 'unknown' && transactionId !== undefined ? await askedLater(database, transactionId) : undefined
      if (later !== undefined) toldLater[later]++
      believed.set(n, later ?? outcome)
    }
    const { rows } = await database.outside.query('select n from cut')
    const there = new Set(rows.map((row) => Number(row['n'])))
    const wrong = [...believed].filter(([n, outcome]) => outcome !== 'unknown' && (outcome === 'committed') !== there.has(n))
    return {
      planned: times,
      fired: proxy.fired,
      told,
      toldLater,
      wrong: wrong.map(([n, outcome]) => `transaction ${n} was told as ${outcome}`),
    }
  } finally {
    await database.close()
  }
}

/** A server that has not noticed yet that a connection is gone does not know the outcome either; then it is asked again. */
async function askedLater(database: PostgresDatabase, transactionId: string): Promise<TransactionOutcome> {
  const decided = async (): Promise<TransactionOutcome | undefined> => {
    const outcome = await database.outcomeOf(transactionId)
    return outcome === 'unknown' ? undefined : outcome
  }
  return await until('the outcome', decided, 10_000).catch(() => 'unknown' as const)
}

async function honest(database: PostgresDatabase, n: number): Promise<{ outcome: TransactionOutcome; transactionId?: string }> {
  try {
    await database.transaction((tx) => tx.query('insert into cut (n) values ($1)', [n]))
    return { outcome: 'committed' }
  } catch (error) {
    if (error instanceof UnknownOutcomeError) return { outcome: 'unknown', transactionId: String(error.details['transactionId']) }
    if (isTrunklineError(error, 'COMMIT_ABORTED')) return { outcome: 'aborted' }
    throw error
  }
}

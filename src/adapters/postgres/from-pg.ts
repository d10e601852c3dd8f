import type { ClientBase } from 'pg'
import type { QueryResult, Transaction } from '../../core/database/database.ts'
import { mapDatabaseError } from './errors.ts'
import { statement } from './statement.ts'

const given = new WeakSet<object>()

/**
 * Makes a transaction of your own usable for `publish`: `client` is a `pg` client on which you have sent BEGIN.
 *
 * The message goes with your COMMIT or your ROLLBACK, which stay yours: what became of a COMMIT whose reply was lost,
 * and that its tag was not ROLLBACK, is yours to find out too. Each publish is one insert at once, so await it.
 *
 * @param client connected to the database of the backbone that publishes
 */
export function fromPg(client: ClientBase): Transaction {
  let depth = 0
  // One statement at a time: a client that does not pipeline takes no second one.
  let turn: Promise<unknown> = Promise.resolve()
  const query = async (text: string, values: readonly unknown[] = []): Promise<QueryResult> => {
    const answer = turn.then(() => client.query(statement(text, values)))
    turn = answer.catch(() => undefined)
    try {
      const { rows, rowCount } = await answer
      return { rows, rowCount: rowCount ?? 0 }
    } catch (error) {
      throw mapDatabaseError(error, 'A statement failed')
    }
  }
  const savepoint = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const name = `trunkline_${++depth}`
    await query(`savepoint ${name}`)
    try {
      const result = await work()
      await query(`release savepoint ${name}`)
      return result
    } catch (error) {
      await query(`rollback to savepoint ${name}`)
      throw error
    } finally {
      depth--
    }
  }
  const face = Object.freeze({ query, savepoint }) as unknown as Transaction
  given.add(face)
  return face
}

/** Whether `fromPg` made it. */
export function isFromPg(tx: unknown): boolean {
  return typeof tx === 'object' && tx !== null && given.has(tx)
}

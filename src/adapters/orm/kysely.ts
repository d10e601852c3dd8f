import { CompiledQuery, type Kysely, type Transaction } from 'kysely'
import type { TransactionSource } from './transaction-source.ts'

/**
 * Lets handlers and publishers use Kysely's own transactions: `createBackbone({ database: kyselyDatabase(db, …) })`.
 *
 * @param db on Kysely's `PostgresDialect`. Give its pool listeners for errors, also of the connections it hands out:
 *   `pool.on('connect', (client) => client.on('error', …))`; without them Node ends the process when one breaks
 * @param options.connectionString the same database: Kysely does not tell where it is connected to
 */
export function kyselyDatabase<DB>(db: Kysely<DB>, options: { readonly connectionString: string }): TransactionSource<Transaction<DB>> {
  const { adapter } = db.getExecutor()
  return {
    library: 'Kysely',
    address: { connectionString: options.connectionString },
    transaction: (work) => db.transaction().setIsolationLevel('read committed').execute(work),
    query: async (tx, text, values) => {
      // A plugin of the user's, such as CamelCasePlugin, would rename our columns.
      const { rows, numAffectedRows } = await tx.withoutPlugins().executeQuery<Row>(CompiledQuery.raw(text, [...values]))
      return { rows, rowCount: numAffectedRows === undefined ? rows.length : Number(numAffectedRows) }
    },
    isTransaction: (value): value is Transaction<DB> => isKysely(value) && value.isTransaction && value.getExecutor().adapter === adapter,
  }
}

type Row = Record<string, unknown>

/** By what it can do: an application may carry two copies of the library. */
function isKysely(value: unknown): value is Kysely<unknown> {
  return typeof value === 'object' && value !== null && 'isTransaction' in value && 'getExecutor' in value
}

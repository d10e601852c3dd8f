import { type ExtractTablesWithRelations, is } from 'drizzle-orm'
import type { NodePgDatabase, NodePgQueryResultHKT } from 'drizzle-orm/node-postgres'
import { PgTransaction } from 'drizzle-orm/pg-core'
import type { Pool } from 'pg'
import { ConfigurationError } from '../../foundation/errors.ts'
import { toDrizzle, untilItsEnd } from './drizzle-transaction.ts'
import type { TransactionSource } from './transaction-source.ts'

type Schema = Record<string, unknown>

/** What `db.transaction` hands to its callback, and with this database every handler and publisher too. */
export type DrizzleTransaction<S extends Schema> = PgTransaction<NodePgQueryResultHKT, S, ExtractTablesWithRelations<S>>

/**
 * Lets handlers and publishers use Drizzle's own transactions: `createBackbone({ database: drizzleDatabase(db) })`.
 *
 * @param db made by `drizzle-orm/node-postgres`, from an address or a pool
 * @throws ConfigurationError `POOL_NEEDED`: it stands on a single client, where two transactions would mix
 */
export function drizzleDatabase<S extends Schema>(db: NodePgDatabase<S> & { $client: unknown }): TransactionSource<DrizzleTransaction<S>> {
  const { $client } = db
  if (!isPool($client)) throw poolNeeded()
  const { options } = $client
  // Without listeners, a connection that breaks would end the process; whoever uses it hears of it anyway.
  $client.on('error', () => undefined)
  $client.on('connect', (client) => client.on('error', () => undefined))
  return {
    library: 'Drizzle',
    // The pool hides its password from being copied, so that it is not logged by accident.
    address: { ...options, ...(options.password === undefined ? {} : { password: options.password }) },
    transaction: (work) => untilItsEnd((run) => db.transaction(run, { isolationLevel: 'read committed' }), work),
    query: async (tx, text, values) => {
      const { rows, rowCount } = await tx.execute(toDrizzle(text, values))
      return { rows, rowCount: rowCount ?? 0 }
    },
    isTransaction: (value): value is DrizzleTransaction<S> =>
      is(value, PgTransaction) && Reflect.get(value, 'dialect') === Reflect.get(db, 'dialect'),
  }
}

function isPool(client: unknown): client is Pool {
  return typeof client === 'object' && client !== null && 'totalCount' in client && 'options' in client
}

function poolNeeded(): ConfigurationError {
  return new ConfigurationError(
    'POOL_NEEDED',
    'drizzleDatabase needs a database on a pool: drizzle(url), or drizzle(new Pool(…)). On a single client, two transactions at a time would be one.',
  )
}

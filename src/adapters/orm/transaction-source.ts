import type { ClientConfig } from 'pg'
import type { QueryResult } from '../../core/database/database.ts'

/** A value as PostgreSQL reads it from a text: the one form that every library sends on unchanged. */
export type TextValue = string | null

/** For what must not wait in the library's pool, or needs a connection of its own: the relay, questions outside a transaction. */
export type ServerAddress = Readonly<Pick<ClientConfig, 'connectionString' | 'host' | 'port' | 'user' | 'password' | 'database' | 'ssl'>>

/**
 * The transactions of a database library: what its adapter hands to the backbone.
 *
 * The library opens, commits and rolls back; our statements run in its transactions beside the user's.
 */
export interface TransactionSource<Tx extends object> {
  /** For messages to people. */
  readonly library: 'Drizzle' | 'Kysely' | 'Prisma' | 'TypeORM'
  /** The same database that the library is connected to. */
  readonly address: ServerAddress

  /**
   * Runs `work` in one transaction, read committed: commits when it resolves, rolls back when it rejects.
   *
   * @param durationMsMax for libraries that end a transaction by themselves: it must last so long
   * @throws whatever `work` threw, or the library's error
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>, durationMsMax: number): Promise<Result>

  /** One statement with `$1`-style parameters. `rowCount` is that of the server. @throws the library's error */
  query(tx: Tx, text: string, values: readonly TextValue[]): Promise<QueryResult>

  /** Whether it is a transaction of this library and this connection; not the connection itself, and none of another. */
  isTransaction(value: unknown): value is Tx
}

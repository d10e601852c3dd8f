import type { DataSource, EntityManager, QueryRunner } from 'typeorm'
import { ConfigurationError, PermanentError } from '../../foundation/errors.ts'
import type { ServerAddress, TransactionSource } from './transaction-source.ts'

/**
 * Lets handlers and publishers use TypeORM's own transactions: `createBackbone({ database: typeormDatabase(source) })`.
 *
 * @param source of type `postgres`, with its address in its options; initialize it before the backbone is used
 * @throws ConfigurationError `DATABASE_UNFIT`: it is a source of another type
 */
export function typeormDatabase(source: DataSource): TransactionSource<EntityManager> {
  return {
    library: 'TypeORM',
    address: addressOf(source),
    transaction: (work) => source.transaction('READ COMMITTED', work),
    query: async (tx, text, values) => {
      const { records, affected } = await runnerOf(tx).query(text, [...values], true)
      return { rows: records, rowCount: affected ?? records.length }
    },
    isTransaction: (value): value is EntityManager =>
      isManager(value) && value.dataSource === source && value.queryRunner?.isTransactionActive === true,
  }
}

/** By what it has: an application may carry two copies of the library. */
function isManager(value: unknown): value is EntityManager {
  return typeof value === 'object' && value !== null && 'dataSource' in value && 'queryRunner' in value
}

function runnerOf(tx: EntityManager): QueryRunner {
  if (tx.queryRunner !== undefined) return tx.queryRunner
  throw new PermanentError(
    'TRANSACTION_NEEDED',
    'This entity manager has no transaction. Use the one that source.transaction hands to its callback.',
  )
}

function addressOf({ options }: DataSource): ServerAddress {
  if (options.type !== 'postgres') {
    throw new ConfigurationError(
      'DATABASE_UNFIT',
      `typeormDatabase needs a source of type "postgres", this one is of type "${options.type}".`,
    )
  }
  const { url, host, port, username, password, database, ssl } = { ...options, ...options.replication?.master }
  const given = { connectionString: url, host, port, user: username, password, database, ssl }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

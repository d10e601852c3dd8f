import { CamelCasePlugin, Kysely, type Transaction as KyselyTransaction, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { kyselyDatabase } from 'trunkline/kysely'
import { expect, expectTypeOf, test } from 'vitest'
import { createBackbone, type Delivery, type Transaction } from '../../../src/index.ts'
import { transactionSourceConformance } from '../../conformance/transaction-source.ts'
import { countedOn } from '../../kit/contracts.ts'

interface Tables {
  readonly orders: { readonly id: string; readonly note: string }
}

function connect(connectionString: string): Kysely<Tables> {
  const pool = new Pool({ connectionString })
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return new Kysely({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] })
}

transactionSourceConformance<KyselyTransaction<Tables>>('Kysely', async (url) => {
  const db = connect(url)
  return {
    source: kyselyDatabase(db, { connectionString: url }),
    connection: db,
    insert: (tx, id, note = '') => tx.insertInto('orders').values({ id, note }).execute(),
    transaction: (work) => db.transaction().execute(work),
    close: () => db.destroy(),
  }
})

test("a handler's transaction has the types of the tables, and the connection is none", () => {
  const connectionString = 'postgres://nobody@127.0.0.1:1/none'
  const db = connect(connectionString)
  const database = kyselyDatabase(db, { connectionString })
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database, logger: false })
  const Counted = countedOn('orders')

  backbone.subscribe(Counted, async (_, delivery) => {
    expectTypeOf(delivery.tx.selectFrom('orders').select('note').executeTakeFirst()).resolves.toEqualTypeOf<{ note: string } | undefined>()
    expectTypeOf(delivery).not.toEqualTypeOf<Delivery<Transaction>>()
  })
  const misuse = async (): Promise<void> => {
    // @ts-expect-error a message belongs to a transaction, not to the connection
    await backbone.publish(db, Counted({ key: 'a', version: 1 }))
  }

  expect(misuse).toBeTypeOf('function')
})

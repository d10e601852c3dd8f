import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { Client } from 'pg'
import { type DrizzleTransaction, drizzleDatabase } from 'trunkline/drizzle'
import { expect, expectTypeOf, test } from 'vitest'
import { createBackbone, type Delivery, type Transaction } from '../../../src/index.ts'
import { transactionSourceConformance } from '../../conformance/transaction-source.ts'
import { countedOn } from '../../kit/contracts.ts'

const orders = pgTable('orders', { id: text().primaryKey(), note: text().notNull() })
const schema = { orders }

transactionSourceConformance<DrizzleTransaction<typeof schema>>('Drizzle', async (url) => {
  const db = drizzle(url, { schema })
  return {
    source: drizzleDatabase(db),
    connection: db,
    insert: (tx, id, note = '') => tx.insert(orders).values({ id, note }),
    transaction: (work) => db.transaction(work),
    nested: (tx, work) => tx.transaction(work),
    close: () => db.$client.end(),
  }
})

test("a handler's transaction has the types of the schema, and the connection is none", () => {
  const db = drizzle('postgres://nobody@127.0.0.1:1/none', { schema })
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database: drizzleDatabase(db), logger: false })
  const Counted = countedOn('orders')

  backbone.subscribe(Counted, async (_, delivery) => {
    expectTypeOf(delivery.tx.query.orders.findFirst).toBeFunction()
    expectTypeOf(delivery).not.toEqualTypeOf<Delivery<Transaction>>()
  })
  const misuse = async (): Promise<void> => {
    // @ts-expect-error a message belongs to a transaction, not to the connection
    await backbone.publish(db, Counted({ key: 'a', version: 1 }))
  }

  expect(misuse).toBeTypeOf('function')
})

test('a database on a single client is refused: two transactions would be one', () => {
  expect(() => drizzleDatabase(drizzle(new Client()))).toThrow(expect.objectContaining({ code: 'POOL_NEEDED' }))
})

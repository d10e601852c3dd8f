import { typeormDatabase } from 'trunkline/typeorm'
import { DataSource, type EntityManager, EntitySchema } from 'typeorm'
import { expect, expectTypeOf, test } from 'vitest'
import { createBackbone, type Delivery, type Transaction } from '../../../src/index.ts'
import { transactionSourceConformance } from '../../conformance/transaction-source.ts'
import { countedOn } from '../../kit/contracts.ts'

interface Order {
  readonly id: string
  readonly note: string
}

const orders = new EntitySchema<Order>({
  name: 'order',
  tableName: 'orders',
  columns: { id: { type: 'text', primary: true }, note: { type: 'text' } },
})

function sourceAt(url: string): DataSource {
  return new DataSource({ type: 'postgres', url, entities: [orders] })
}

transactionSourceConformance<EntityManager>('TypeORM', async (url) => {
  const source = sourceAt(url)
  await source.initialize()
  return {
    source: typeormDatabase(source),
    connection: source.manager,
    insert: (tx, id, note = '') => tx.insert(orders, { id, note }),
    transaction: (work) => source.transaction(work),
    nested: (tx, work) => tx.transaction(work),
    close: () => source.destroy(),
  }
})

test("a handler's transaction is the entity manager of its transaction", () => {
  const database = typeormDatabase(sourceAt('postgres://nobody@127.0.0.1:1/none'))
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database, logger: false })

  backbone.subscribe(countedOn('orders'), async (_, delivery) => {
    expectTypeOf(delivery.tx).toEqualTypeOf<EntityManager>()
    expectTypeOf(delivery).not.toEqualTypeOf<Delivery<Transaction>>()
  })

  expect(backbone.service).toBe('shop')
})

test('a source of another database is refused', () => {
  const source: DataSource = Object.create(sourceAt('postgres://nobody@127.0.0.1:1/none'), { options: { value: { type: 'mysql' } } })

  expect(() => typeormDatabase(source)).toThrow(expect.objectContaining({ code: 'DATABASE_UNFIT' }))
})

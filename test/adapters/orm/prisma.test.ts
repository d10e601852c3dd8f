import { PrismaPg } from '@prisma/adapter-pg'
import { prismaDatabase } from 'trunkline/prisma'
import { expect, expectTypeOf, test } from 'vitest'
import { createBackbone, type Delivery, type Transaction } from '../../../src/index.ts'
import { transactionSourceConformance } from '../../conformance/transaction-source.ts'
import { countedOn } from '../../kit/contracts.ts'
import { type Prisma, PrismaClient } from './prisma-client/client.ts'

function connect(connectionString: string): PrismaClient {
  return new PrismaClient({ adapter: new PrismaPg({ connectionString }) })
}

transactionSourceConformance<Prisma.TransactionClient>('Prisma', async (url) => {
  const client = connect(url)
  return {
    source: prismaDatabase(client, { connectionString: url }),
    connection: client,
    insert: (tx, id, note = '') => tx.order.create({ data: { id, note } }),
    transaction: (work) => client.$transaction(work),
    nested: (tx, work) => tx.$transaction(work),
    close: () => client.$disconnect(),
  }
})

test("a handler's transaction has the types of the models, and the connection is refused when it is used", () => {
  const connectionString = 'postgres://nobody@127.0.0.1:1/none'
  const database = prismaDatabase(connect(connectionString), { connectionString })
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database, logger: false })

  backbone.subscribe(countedOn('orders'), async (_, delivery) => {
    expectTypeOf(delivery.tx).toEqualTypeOf<Prisma.TransactionClient>()
    expectTypeOf(delivery).not.toEqualTypeOf<Delivery<Transaction>>()
  })

  expect(backbone.service).toBe('shop')
})

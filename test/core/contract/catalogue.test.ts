import { expect, test } from 'vitest'
import { OrderConfirmed, OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { ContractCatalogue, loadCatalogue } from '../../../src/core/contract/catalogue.ts'
import { decodePayload, encodePayload } from '../../../src/core/contract/codec.ts'
import { CommandSettled } from '../../../src/core/contract/command-settled.ts'
import { contract } from '../../../src/core/contract/contract.ts'
import { event, folderOf } from './schema-folder.ts'

test('finds a contract by its name and by its type, whatever the version', () => {
  const catalogue = new ContractCatalogue()

  catalogue.add(OrderPlaced)

  expect(catalogue.byName('shop.orders.OrderPlaced')).toBe(OrderPlaced)
  expect(catalogue.byType('shop.orders.OrderPlaced.v1')).toEqual({ contract: OrderPlaced, version: 1 })
  expect(catalogue.byType('shop.orders.OrderPlaced.v9')).toEqual({ contract: OrderPlaced, version: 9 })
})

test.each([
  'shop.orders.OrderPlaced',
  'shop.orders.OrderPlaced.v',
  'shop.orders.OrderPlaced.v0',
  'shop.orders.OrderPlaced.vx',
  'shop.orders.Other.v1',
  '__proto__.v1',
  '',
])('finds nothing for the type "%s"', (type) => {
  const catalogue = new ContractCatalogue()

  catalogue.add(OrderPlaced)

  expect(catalogue.byType(type)).toBeUndefined()
})

test('takes the same contract again, and refuses another of the same name', () => {
  const catalogue = new ContractCatalogue()
  catalogue.add(OrderPlaced)

  catalogue.add(OrderPlaced)

  expect(catalogue.contracts()).toEqual([OrderPlaced])
  expect(() => catalogue.add(contract({ ...OrderPlaced.definition, topic: 'sales' }))).toThrow(
    expect.objectContaining({
      code: 'CONTRACT_CONFLICT',
      message: expect.stringContaining('differ in their topic ("orders" and "sales")'),
    }),
  )
  expect(() => catalogue.add(contract({ ...OrderPlaced.definition, versions: OrderConfirmed.definition.versions }))).toThrow(
    'differ in their schemas',
  )
})

test('keeps the higher of two versions of one message', () => {
  const folder = folderOf({
    'orders/OrderPlaced.v1.avsc': event('OrderPlaced'),
    'orders/OrderPlaced.v2.avsc': event('OrderPlaced', [{ name: 'note', type: 'string', default: '' }]),
  })

  const catalogue = loadCatalogue(folder)

  expect(catalogue.byName('shop.orders.OrderPlaced')?.definition.version).toBe(2)
})

test("reads the repository's own schemas: topics once, and replies of commands", () => {
  const catalogue = loadCatalogue('schemas')

  expect(catalogue.topics()).toEqual([
    'demand',
    'orders',
    'orders.commands',
    'orders.replies',
    'payments.commands',
    'payments.replies',
    'stock.commands',
    'stock.replies',
  ])
  const replies = catalogue.byName('shop.stock.ReserveStock')?.definition.replyContracts?.()
  expect(replies?.map((reply) => reply.definition.name)).toEqual(['shop.stock.StockReserved', 'shop.stock.StockRefused'])
})

test('the built-in reply has no topic of its own and travels like any other', () => {
  const catalogue = new ContractCatalogue()
  catalogue.add(CommandSettled)
  const { definition, data } = CommandSettled({ outcome: 'cancelled' })

  expect(decodePayload(definition, encodePayload(definition, data))).toEqual({ outcome: 'cancelled' })
  expect(catalogue.topics()).toEqual([])
})

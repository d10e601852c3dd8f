import { expect, expectTypeOf, test } from 'vitest'
import type { OrderPlacedData } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import type { ReserveStock, StockRefusedData, StockReservedData } from '../../../examples/order-fulfilment/contracts/stock.ts'
import type { AnyContract, Outgoing } from '../../../src/core/contract/contract.ts'
import { OrderChanged } from './generated/sales.ts'

// Checked by the type checker: a line that is no type error is one under "@ts-expect-error".

test('the type checker knows what a message takes and gives', () => {
  const message = OrderPlaced({ orderId: '1', sku: 'chair', quantity: 1, total: 5 })

  expectTypeOf(message).toEqualTypeOf<Outgoing<'shop.orders.OrderPlaced', OrderPlacedData>>()
  expectTypeOf<(typeof OrderPlaced)['message']['data']>().toEqualTypeOf<OrderPlacedData>()
  expectTypeOf<(typeof OrderPlaced)['reply']>().toBeVoid()
  expectTypeOf(OrderPlaced).toExtend<AnyContract>()
})

test('the type checker knows what answers a command', () => {
  type Reply = (typeof ReserveStock)['reply']

  expectTypeOf<Reply>().toEqualTypeOf<
    Outgoing<'shop.stock.StockReserved', StockReservedData> | Outgoing<'shop.stock.StockRefused', StockRefusedData>
  >()
})

test('the type checker refuses what does not fit', () => {
  // @ts-expect-error: total is a number
  expect(() => OrderPlaced({ orderId: '1', sku: 'chair', quantity: 1, total: 'x' })).toThrow('"total"')
  // @ts-expect-error: sku is missing
  expect(() => OrderPlaced({ orderId: '1', quantity: 1, total: 5 })).toThrow('"sku"')
  // @ts-expect-error: colour is no field
  expect(() => OrderPlaced({ orderId: '1', sku: 'chair', quantity: 1, total: 5, colour: 'red' })).toThrow('"colour"')
  // @ts-expect-error: FAX is no symbol
  expect(() => OrderChanged({ id: '1', total: { amount: 5 }, checksum: new Uint8Array(4), channel: 'FAX' })).toThrow('"channel"')
  // @ts-expect-error: data cannot be changed
  expect(() => Object.assign({}, OrderPlaced({ orderId: '1', sku: 's', quantity: 1, total: 5 })).data.total++).not.toThrow()
})

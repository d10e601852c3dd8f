import { expect, test } from 'vitest'
import { OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { SubscriptionRegistry } from '../../../src/core/consume/registry.ts'

const registry = () => new SubscriptionRegistry<object>(60_000)
const handler = async () => undefined

test('a second handler for the same message in one group is refused', () => {
  const groups = registry()
  groups.add('stock', [OrderPlaced], handler)

  const again = () => groups.add('stock', [OrderPlaced], handler)

  expect(again).toThrow(/already has a handler for shop\.orders\.OrderPlaced.*backbone\.group/)
})

test('another group may react to the same message', () => {
  const groups = registry()
  groups.add('stock', [OrderPlaced], handler)
  groups.add('stock.audit', [OrderPlaced], handler)

  expect(groups.groups().map(({ group }) => group)).toEqual(['stock', 'stock.audit'])
  expect(groups.topics()).toEqual(['orders'])
})

test('a handler may not take longer than the server lets a transaction wait', () => {
  const tooLong = () => registry().add('stock', [OrderPlaced], handler, { timeout: '2m' })

  expect(tooLong).toThrow(/120000 ms is longer than a transaction may wait.*idleInTransaction/)
})

test('an option that is out of range is named with its bounds and its value', () => {
  expect(() => registry().add('stock', [OrderPlaced], handler, { timeout: '5ms' })).toThrow(/"timeout".*10ms to 10m.*"5ms"/)
})

test('an unknown option says what may have been meant', () => {
  const options = { retry: { inlne: 2 } }

  expect(() => registry().add('stock', [OrderPlaced], handler, options as object)).toThrow(
    /unknown option "retry\.inlne" \(did you mean "inline"\?\)/,
  )
})

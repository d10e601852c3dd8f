import { expect, test } from 'vitest'
import { OrderPlaced } from '../../../examples/order-fulfilment/contracts/orders.ts'
import { DemandSurged } from '../../../examples/order-fulfilment/contracts/stock.ts'
import type { AvroSchema } from '../../../src/core/contract/avro.ts'
import { fingerprintOf } from '../../../src/core/contract/codec.ts'
import { type Contract, contract, keyOf } from '../../../src/core/contract/contract.ts'

type Loose = Contract<{ kind: 'event'; name: 'shop.orders.Probe'; input: unknown; data: unknown; reply: void }>

/** A contract whose only field besides the key has this type. */
function probe(type: AvroSchema, fallback?: unknown): Loose {
  const field = { name: 'value', type, ...(fallback === undefined ? {} : { default: fallback }) }
  const schema = { type: 'record', name: 'shop.orders.Probe', fields: [{ name: 'id', type: 'string' }, field] }
  const versions = [{ version: 1, fingerprint: fingerprintOf(schema), schema }]
  return contract({ kind: 'event', name: 'shop.orders.Probe', version: 1, topic: 'orders', key: 'id', replies: [], versions })
}

function problemOf(type: AvroSchema, value: unknown): unknown {
  try {
    probe(type)({ id: '1', value })
  } catch (error) {
    return error
  }
  return undefined
}

const order = { orderId: 'o-1', sku: 'chair', quantity: 2, total: 1250 }

test('makes a message with its data in the order of the schema', () => {
  const message = OrderPlaced({ total: 1250, quantity: 2, sku: 'chair', orderId: 'o-1' })

  expect(message).toEqual({ name: 'shop.orders.OrderPlaced', data: order, definition: OrderPlaced.definition })
  expect(Object.keys(Object(message.data))).toEqual(['orderId', 'sku', 'quantity', 'total'])
  expect(OrderPlaced.name).toBe('OrderPlaced')
})

test('does not see what happens to the input afterwards', () => {
  const input = { ...order }
  const message = OrderPlaced(input)

  input.total = -1

  expect(message.data.total).toBe(1250)
})

test('names the place, the reason and the mend of a value that does not fit', () => {
  // @ts-expect-error: the type checker sees it too
  expect(() => OrderPlaced({ ...order, total: '12.50' })).toThrow(
    expect.objectContaining({
      code: 'CONTRACT_VIOLATED',
      details: { type: 'shop.orders.OrderPlaced.v1', path: 'total' },
      message:
        'shop.orders.OrderPlaced.v1 is not valid: "total" must be an integer, got "12.50". ' +
        'Send a whole number; for money, minor units (1250), or add schemas/orders/OrderPlaced.v2.avsc.',
    }),
  )
})

test('refuses what the type checker cannot see', () => {
  expect(() => OrderPlaced({ ...order, total: 12.5 })).toThrow('"total" must be an integer, got 12.5')
})

test('knows the field that a mistyped name was meant for', () => {
  const { total, ...rest } = order
  // @ts-expect-error: there is no field totl
  expect(() => OrderPlaced({ ...rest, totl: total })).toThrow('"totl" is not a field of its schema. Send it as "total"')
})

test('refuses a field left out, and says so', () => {
  const { total: _total, ...rest } = order
  // @ts-expect-error: total has no default
  expect(() => OrderPlaced(rest)).toThrow('"total" is missing. Send it')
})

test('refuses an empty key', () => {
  expect(() => OrderPlaced({ ...order, orderId: '' })).toThrow('"orderId" is its key and must not be empty')
})

test('gives the key as text', () => {
  expect(keyOf(OrderPlaced.definition, order)).toBe('o-1')
  expect(keyOf(DemandSurged.definition, { sku: 'chair' })).toBe('chair')
  expect(keyOf({ ...OrderPlaced.definition, key: 'quantity' }, order)).toBe('2')
  expect(keyOf({ ...OrderPlaced.definition, key: null }, order)).toBeNull()
})

test('fills in defaults, a new value each time', () => {
  const Probe = probe({ type: 'array', items: 'string' }, ['a'])

  const first = Probe({ id: '1' }).data
  const second = Probe({ id: '1' }).data

  expect(first).toEqual({ id: '1', value: ['a'] })
  expect(Reflect.get(Object(first), 'value')).not.toBe(Reflect.get(Object(second), 'value'))
})

test('tells the path inside lists, maps and records', () => {
  const line = { type: 'record', name: 'Line', fields: [{ name: 'amounts', type: { type: 'map', values: 'long' } }] }

  const error = problemOf({ type: 'array', items: line }, [{ amounts: { eur: 1 } }, { amounts: { usd: 0.5 } }])

  expect(error).toMatchObject({ details: { path: 'value.1.amounts.usd' } })
})

const status = { type: 'enum', name: 'Status', symbols: ['OPEN', 'CLOSED'] }
const cyclic: { next?: unknown } = {}
cyclic.next = cyclic
const chain = { type: 'record', name: 'Chain', fields: [{ name: 'next', type: ['null', 'Chain'], default: null }] }

test.each<[string, AvroSchema, unknown, string]>([
  ['an int above its range', 'int', 2 ** 31, 'must be an integer between'],
  ['a long that JavaScript cannot hold', 'long', 2 ** 53, 'must be an integer between'],
  ['a long whose sign avsc would turn', 'long', -(2 ** 52) - 1, 'must be an integer between'],
  ['a bigint', 'long', 1n, 'got the bigint 1n'],
  ['NaN', 'double', Number.NaN, 'must be a finite number'],
  ['infinity', 'float', Number.POSITIVE_INFINITY, 'must be a finite number'],
  ['a number beyond a float', 'float', 1e300, 'must be a finite number'],
  ['half a character', 'string', 'a\ud800', 'half of a surrogate pair'],
  ['a name that every object has, as a symbol', status, 'toString', 'must be one of "OPEN", "CLOSED"'],
  ['a list as a symbol', status, ['OPEN'], 'must be one of'],
  ['a nearly right symbol', status, 'CLOSE', 'Send "CLOSED"'],
  ['a Map', { type: 'map', values: 'string' }, new Map([['a', 'b']]), 'got an object (Map)'],
  ['a key that changes prototypes', { type: 'map', values: 'string' }, JSON.parse('{"__proto__":"x"}'), 'no map may have'],
  ['a list as a record', chain, [], 'got an array'],
  ['a date as a record', chain, new Date(), 'got an object (Date)'],
  ['a value without an end', chain, cyclic, 'nested deeper than 64 records'],
  ['too few bytes', { type: 'fixed', name: 'Hash', size: 4 }, new Uint8Array(3), 'must be 4 bytes (a Uint8Array), got 3 bytes'],
  ['a text as bytes', 'bytes', 'abc', 'must be bytes (a Uint8Array), got "abc"'],
  ['nothing where null is meant', ['null', 'string'], undefined, 'is missing'],
  ['a value of no branch', ['null', 'string', 'long'], true, 'must be null or string or long, got true'],
])('refuses %s', (_what, type, value, problem) => {
  expect(problemOf(type, value)).toMatchObject({ code: 'CONTRACT_VIOLATED', message: expect.stringContaining(problem) })
})

test('does not print a long text, which may be anything', () => {
  expect(problemOf('long', 'secret'.repeat(20))).toMatchObject({ message: expect.stringContaining('got a text of 120 characters') })
})

test('takes bytes from any Uint8Array', () => {
  const { data } = probe('bytes')({ id: '1', value: new Uint8Array([1, 2]).subarray(1) })

  expect(data).toEqual({ id: '1', value: Buffer.from([2]) })
})

test('is frozen, with its definition', () => {
  expect(Object.isFrozen(OrderPlaced)).toBe(true)
  expect(Object.isFrozen(OrderPlaced.definition)).toBe(true)
})

test('refuses a definition whose key is no text, at the first message', () => {
  const Broken: Loose = contract({ ...probe('boolean').definition, key: 'value' })

  expect(() => Broken({ id: '1', value: true })).toThrow(expect.objectContaining({ code: 'CONTRACT_INVALID' }))
})

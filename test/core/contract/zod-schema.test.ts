import fc from 'fast-check'
import { expect, expectTypeOf, test } from 'vitest'
import { avro, requireFormat, type z } from '../../../src/core/contract/contract.ts'
import { GENERATED_FORMAT } from '../../../src/core/contract/generated-format.ts'
import { isTrunklineError } from '../../../src/foundation/errors.ts'
import { EntryBooked, type EntryBookedData, type EntryBookedInput, EntryBookedSchema } from './generated/ledger.ts'
import { OrderChanged, type OrderChangedData, OrderChangedSchema, OrderChangedV1Schema } from './generated/sales.ts'

const entry = { id: 'e-1', entry: '0198f000-0000-7000-8000-000000000001', net: '12.5', gross: '14.875' }
const order = {
  id: 'o-1',
  total: { amount: 5 },
  checksum: new Uint8Array(4),
  lines: [{ sku: 'a', price: { amount: 1 }, parts: [{ sku: 'b', price: { amount: 2, currency: 'USD' } }] }],
}

/** What the constructor made of it, or nothing. */
function made(make: (input: never) => { readonly data: unknown }, input: unknown): unknown {
  try {
    return Reflect.apply(make, undefined, [input]).data
  } catch (error) {
    if (isTrunklineError(error, 'CONTRACT_VIOLATED')) return undefined
    throw error
  }
}

/** Bytes are compared by content: the constructor makes Buffers of them. */
function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, comparable(inner)]))
}

test('the zod schema gives what the constructor gives, defaults included', () => {
  expect(comparable(EntryBookedSchema.parse(entry))).toEqual(EntryBooked(entry).data)
  expect(comparable(OrderChangedSchema.parse(order))).toEqual(OrderChanged(order).data)
  expect(OrderChangedV1Schema.parse({ id: '1', total: { amount: 5 } })).toEqual({ id: '1', total: { amount: 5, currency: 'EUR' } })
})

test('the type checker knows what the zod schema takes and gives', () => {
  expectTypeOf<z.output<typeof EntryBookedSchema>>().toExtend<EntryBookedData>()
  expectTypeOf<z.input<typeof EntryBookedSchema>>().toExtend<EntryBookedInput>()
  expectTypeOf<z.output<typeof OrderChangedSchema>>().toExtend<OrderChangedData>()
  expectTypeOf<z.output<typeof EntryBookedSchema>['bookedAt']>().toEqualTypeOf<Date>()
  expectTypeOf<z.output<typeof EntryBookedSchema>['serial']>().toEqualTypeOf<bigint>()
  expect(EntryBookedSchema.pick({ id: true }).parse({ id: 'x' })).toEqual({ id: 'x' })
})

test('a text that is too long for its pattern is refused without looking at the pattern', () => {
  const text = avro.string({ max: 20, pattern: '^(a+)+$' })

  expect(text.safeParse(`${'a'.repeat(60)}!`).success).toBe(false)
  expect(text.parse('aaa')).toBe('aaa')
})

const strange = fc.constantFrom<unknown>(
  undefined,
  null,
  true,
  0,
  -1,
  1,
  5,
  0.4,
  0.5,
  100,
  101,
  2 ** 31,
  2 ** 53,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  0n,
  1n,
  2n ** 63n,
  '',
  'a',
  'ab',
  'EUR',
  'EURO',
  'x'.repeat(41),
  'a\ud800',
  '12.50',
  '12.505',
  '0.00',
  '-0.01',
  '9999999',
  '99999999.00',
  '1e3',
  '2026-01-31',
  '2026-02-30',
  '2026-01-31T12:00:00Z',
  '2026-01-31T12:00:00.1234567Z',
  '0198f000-0000-7000-8000-000000000001',
  new Date(0),
  new Date(Number.NaN),
  new Date(9e15),
  new Uint8Array(4),
  new Uint8Array(9),
  [],
  ['a'],
  ['abcd'],
  [1],
  {},
  { a: 1 },
  { a: 10 },
  { a: 1, b: 2, c: 3 },
  JSON.parse('{"__proto__":1}'),
  { amount: 1 },
  { amount: 1, colour: 'red' },
)

test.each([
  ['EntryBooked', EntryBooked, EntryBookedSchema, { ...EntryBooked(entry).data }],
  ['OrderChanged', OrderChanged, OrderChangedSchema, { ...OrderChanged(order).data }],
] as const)('the zod schema of %s takes a value if and only if the constructor does', (_name, make, schema, whole) => {
  const changes = fc.dictionary(fc.constantFrom(...Object.keys(whole), 'colour'), strange, {
    minKeys: 1,
    maxKeys: 2,
    noNullPrototype: true,
  })
  let accepted = 0

  fc.assert(
    fc.property(changes, (change) => {
      const input = { ...whole, ...change }
      const parsed = schema.safeParse(input)
      const data = made(make, input)
      expect(parsed.success).toBe(data !== undefined)
      if (!parsed.success) return
      accepted++
      expect(comparable(parsed.data)).toEqual(data)
    }),
    { numRuns: 4000 },
  )
  expect(accepted).toBeGreaterThan(50)
})

test.each([
  [GENERATED_FORMAT - 1, 'GENERATED_CODE_OLD', 'Run "trunkline schema generate"'],
  [GENERATED_FORMAT + 1, 'GENERATED_CODE_NEW', 'npm install trunkline@latest'],
])('generated code of format %i is not loaded, and says what to do', (format, code, mend) => {
  expect(() => requireFormat(format, 'orders.ts')).toThrow(
    expect.objectContaining({
      code,
      message: expect.stringContaining(mend),
      details: { file: 'orders.ts', format, expected: GENERATED_FORMAT },
    }),
  )
})

test('generated code of the present format is loaded', () => {
  expect(() => requireFormat(GENERATED_FORMAT, 'orders.ts')).not.toThrow()
})

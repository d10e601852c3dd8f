import { describe, expect, expectTypeOf, test } from 'vitest'
import { decodePayload, encodePayload } from '../../../src/core/contract/codec.ts'
import type { AnyContract } from '../../../src/core/contract/contract.ts'
import { upcast } from '../../../src/core/contract/upcast.ts'
import * as next from './builds/new/orders.ts'
import * as old from './builds/old/orders.ts'

const cents = (price: string): number => Math.round(Number(price) * 100)

const PriceChangedV2 = upcast(next.PriceChangedV2, next.PriceChangedV1, ({ id, price }) => ({ id, cents: cents(price) }))
const PriceChanged = upcast(next.PriceChanged, PriceChangedV2, ({ id, cents: net }) => ({ id, net }))

function written(contract: AnyContract, data: unknown): Buffer {
  return encodePayload(contract.definition, data)
}

describe("by Avro's rules", () => {
  test('the new build reads what the old one wrote, with defaults for what is new', () => {
    const { data } = old.OrderPaid({ id: 'a', amount: 1250 })

    expect(decodePayload(next.OrderPaid.definition, written(old.OrderPaid, data))).toEqual({
      id: 'a',
      amount: 1250,
      currency: 'EUR',
      note: null,
    })
  })

  test('a build that still handles version 1 reads version 2, once it has the file of version 2', () => {
    const { data } = next.OrderPaid({ id: 'a', amount: 1250, currency: 'USD' })

    expect(decodePayload(next.OrderPaidV1.definition, written(next.OrderPaid, data))).toEqual({ id: 'a', amount: 1250 })
  })

  test('a build without that file says that it does not know the schema, which parks the key', () => {
    const value = written(next.OrderPaid, next.OrderPaid({ id: 'a', amount: 1250 }).data)

    expect(() => decodePayload(old.OrderPaid.definition, value)).toThrow(expect.objectContaining({ code: 'SCHEMA_UNKNOWN' }))
  })
})

test('where a version breaks another, the older one cannot read it either, and no other build will: it is no unknown schema', () => {
  const value = written(next.PriceChangedV2, { id: 'tea', cents: 990 })

  expect(() => decodePayload(next.PriceChangedV1.definition, value)).toThrow(expect.objectContaining({ code: 'SCHEMA_INCOMPATIBLE' }))
})

describe('by an upcaster', () => {
  test('an old version is converted where Avro alone cannot read it', () => {
    const value = written(old.PriceChanged, { id: 'tea', price: '12.50' })

    expect(() => decodePayload(next.PriceChangedV2.definition, value)).toThrow(expect.objectContaining({ code: 'SCHEMA_INCOMPATIBLE' }))
    expect(decodePayload(PriceChangedV2.definition, value)).toEqual({ id: 'tea', cents: 1250 })
  })

  test('several are a chain, and fields with a default may be left out', () => {
    expect(decodePayload(PriceChanged.definition, written(next.PriceChangedV1, { id: 'tea', price: '12.50' }))).toEqual({
      id: 'tea',
      net: 1250,
      vat: 0,
    })
    expect(decodePayload(PriceChanged.definition, written(next.PriceChangedV2, { id: 'tea', cents: 990 }))).toEqual({
      id: 'tea',
      net: 990,
      vat: 0,
    })
    expect(decodePayload(PriceChanged.definition, written(next.PriceChanged, { id: 'tea', net: 1, vat: 2 }))).toEqual({
      id: 'tea',
      net: 1,
      vat: 2,
    })
  })

  test('one of an older version goes before one of a newer', () => {
    const direct = upcast(PriceChanged, next.PriceChangedV1, ({ id }) => ({ id, net: 0, vat: 7 }))

    expect(decodePayload(direct.definition, written(next.PriceChangedV1, { id: 'tea', price: '12.50' }))).toEqual({
      id: 'tea',
      net: 0,
      vat: 7,
    })
    expect(decodePayload(direct.definition, written(next.PriceChangedV2, { id: 'tea', cents: 990 }))).toEqual({
      id: 'tea',
      net: 990,
      vat: 0,
    })
  })

  test('the contract is otherwise the same: it makes the same messages, and the generated one is as it was', () => {
    expect(PriceChanged({ id: 'tea', net: 1 }).data).toEqual(next.PriceChanged({ id: 'tea', net: 1 }).data)
    expect(written(PriceChanged, { id: 'tea', net: 1, vat: 0 })).toEqual(written(next.PriceChanged, { id: 'tea', net: 1, vat: 0 }))
    expect(next.PriceChanged.definition.upcasters).toBeUndefined()
    expectTypeOf(PriceChanged).toEqualTypeOf(next.PriceChanged)
  })

  test('what it makes must fit: the error names the place, and the function is at fault', () => {
    const broken = upcast(next.PriceChangedV2, next.PriceChangedV1, ({ id, price }) => ({ id, cents: Number(price) }))

    expect(() => decodePayload(broken.definition, written(old.PriceChanged, { id: 'tea', price: '12.505' }))).toThrow(
      expect.objectContaining({
        code: 'UPCAST_FAILED',
        message: expect.stringMatching(
          /PriceChanged\.v1 could not be converted to version 2: .*"cents" must be an integer.*given to upcast\(\)/,
        ),
      }),
    )
  })

  test('what it throws is told with the version, and stays an error that no retry mends', () => {
    const broken = upcast(next.PriceChangedV2, next.PriceChangedV1, () => {
      throw new TypeError('no price')
    })

    expect(() => decodePayload(broken.definition, written(old.PriceChanged, { id: 'tea', price: '1' }))).toThrow(
      expect.objectContaining({ code: 'UPCAST_FAILED', name: 'ContractError', message: expect.stringContaining('no price') }),
    )
  })

  test('it is checked by the types: the old data goes in, the new input comes out, of one message', () => {
    // @ts-expect-error version 1 has no "cents"
    upcast(next.PriceChangedV2, next.PriceChangedV1, ({ id, cents: none }) => ({ id, cents: none }))
    // @ts-expect-error version 2 needs "cents"
    upcast(next.PriceChangedV2, next.PriceChangedV1, ({ id }) => ({ id }))
    // @ts-expect-error another message
    expect(() => upcast(next.PriceChangedV2, next.OrderPaidV1, ({ id }) => ({ id, cents: 0 }))).toThrow('an older version of a message')
  })

  test.each<[string, () => unknown, string]>([
    [
      'from a newer version',
      () => upcast(next.PriceChangedV1, next.PriceChangedV2, ({ id }) => ({ id, price: '' })),
      'from an older version',
    ],
    [
      'twice',
      () => upcast(PriceChangedV2, next.PriceChangedV1, ({ id }) => ({ id, cents: 0 })),
      'there is an upcaster between them already',
    ],
  ])('it is refused %s', (_what, make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'UPCAST_INVALID', message: expect.stringContaining(message) }))
  })
})

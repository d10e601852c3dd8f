import { expect, test } from 'vitest'
import { decodePayload, encodePayload, fingerprintOf } from '../../../src/core/contract/codec.ts'
import { conform } from '../../../src/core/contract/conform.ts'
import { type ContractDefinition, type ContractTypes, contract } from '../../../src/core/contract/contract.ts'
import { dataFromJson } from '../../../src/core/contract/json-data.ts'
import { upcast } from '../../../src/core/contract/upcast.ts'

interface Ordered extends ContractTypes {
  readonly name: 'test.Ordered'
  readonly input: { readonly sku: string; readonly quantity: number }
  readonly data: { readonly sku: string; readonly quantity: number }
}

const given = [
  { type: 'record', name: 'test.Ordered', fields: [{ name: 'sku', type: 'string' }, quantityWith({})] },
  // Tightened, with one more field, so that the bytes differ too.
  {
    type: 'record',
    name: 'test.Ordered',
    fields: [
      { name: 'sku', type: 'string', 'x-pattern': '^[A-Z]+$' },
      quantityWith({ 'x-min': 1 }),
      { name: 'note', type: ['null', 'string'], default: null },
    ],
  },
]

function quantityWith(rules: object): object {
  return { name: 'quantity', type: { type: 'int', ...rules } }
}

function definitionOf(version: number): ContractDefinition {
  const versions = given.map((schema, index) => ({ version: index + 1, fingerprint: fingerprintOf(schema), schema }))
  return { kind: 'event', name: 'test.Ordered', version, topic: 't', key: 'sku', replies: [], versions }
}

const [V1, V2] = [contract<Ordered>(definitionOf(1)), contract<Ordered>(definitionOf(2))]
/** Fits version 1 and breaks both rules of version 2, and that a key is never empty. */
const old = { sku: '', quantity: 0 }

test('a rule that was tightened holds for what is made', () => {
  expect(() => V2({ sku: 'TEA', quantity: 0 })).toThrow(/"quantity" must be at least 1/)
  expect(() => conform(V2.definition, { sku: 'tea', quantity: 1 })).toThrow(/"sku" must match/)
})

test('it does not lose what was written before, read by the rules of Avro', () => {
  expect(decodePayload(V2.definition, encodePayload(V1.definition, old))).toEqual({ ...old, note: null })
})

test('it does not lose what was written before, read through an upcaster', () => {
  const converting = upcast(V2, V1, (data) => data)

  expect(decodePayload(converting.definition, encodePayload(V1.definition, old))).toEqual({ ...old, note: null })
})

test.each([1, 2])('it does not lose JSON data of version %i, which need not know it', (version) => {
  expect(dataFromJson(V2.definition, version, Buffer.from(JSON.stringify(old)))).toEqual({ ...old, note: null })
})

test('what is read must still fit its schema', () => {
  const converting = upcast(V2, V1, ({ sku }) => ({ sku, quantity: 0.5 }))

  expect(() => decodePayload(converting.definition, encodePayload(V1.definition, old))).toThrow(/"quantity" must be an integer/)
  expect(() => dataFromJson(V2.definition, 2, Buffer.from('{"sku":"","quantity":0.5}'))).toThrow(/"quantity" must be an integer/)
})

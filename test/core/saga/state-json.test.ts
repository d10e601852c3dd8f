import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { stateFromJson, stateToJson } from '../../../src/core/saga/state-json.ts'

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: false }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)
const key = fc.oneof(fc.string(), fc.constantFrom('$trunkline', '__proto__', 'value', 'constructor'))
const state = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('any')),
    fc.array(fc.tuple(key, tie('any'))).map((entries) => Object.fromEntries(entries)),
  ),
})).any

test('gives every state back as it was', () => {
  fc.assert(
    fc.property(state, (value) => {
      expect(isDeepStrictEqual(stateFromJson(stateToJson(value)), value)).toBe(true)
    }),
  )
})

test('keeps the place of a hole in an array', () => {
  expect(stateFromJson(stateToJson([1, undefined, 3]))).toStrictEqual([1, undefined, 3])
})

test('leaves out a field without a value', () => {
  expect(stateFromJson(stateToJson({ a: 1, b: undefined }))).toStrictEqual({ a: 1 })
})

test.each([
  ['a function', { lines: [{ total: () => 1 }] }, '"state.lines[0].total" is a function'],
  ['a Map', { lines: new Map() }, '"state.lines" is a Map'],
  ['a symbol', { mark: Symbol('x') }, '"state.mark" is a symbol'],
])('refuses %s and says where it stands', (_, value, message) => {
  expect(() => stateToJson(value)).toThrow(message)
})

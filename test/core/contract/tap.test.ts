import { expect, test } from 'vitest'
import { avscType } from '../../../src/core/contract/guarded-avro.ts'
import { readText } from '../../../src/core/contract/tap.ts'

const type = avscType('string')
/** Shorter and longer than what is read by a function of its own. */
const lengths = Array.from({ length: 40 }, (_, length) => length)

function read(text: Buffer): unknown {
  const value = Buffer.concat([Buffer.from([text.length * 2]), text])
  return type.fromBuffer(value)
}

test('a text of any length is read as it was written', () => {
  const texts = lengths.map((length) => 'abcdefghijklmnopqrstuvwxyz0123456789-._~'.slice(0, length))

  expect(texts.map((text) => read(Buffer.from(text)))).toEqual(texts)
})

test.each(['ä', '€', '😀', '\u0080', '\uFFFD', '\u0000'])('and so is one with %j at any place', (character) => {
  const texts = lengths.flatMap((length) =>
    Array.from({ length: length + 1 }, (_, at) => 'x'.repeat(at) + character + 'x'.repeat(length - at)),
  )

  expect(texts.map((text) => read(Buffer.from(text)))).toEqual(texts)
})

test.each(['80', 'ff', 'c3', 'eda080', 'c0af', 'f4908080'])('the bytes %s, which are no UTF-8, are refused at any place', (hex) => {
  const values = lengths.flatMap((length) =>
    Array.from({ length: length + 1 }, (_, at) =>
      Buffer.concat([Buffer.alloc(at, 'x'), Buffer.from(hex, 'hex'), Buffer.alloc(length - at, 'x')]),
    ),
  )

  for (const value of values) expect(() => read(value)).toThrow('not UTF-8')
})

test('reading a text moves to its end, whatever stands behind it', () => {
  const buf = Buffer.from('\u0006EUR\u00ff', 'latin1')
  const tap = { buf, pos: 0, readLong: () => 0, readFloat: () => 0, readDouble: () => 0 }

  expect(readText(tap)).toBe('EUR')
  expect(tap.pos).toBe(4)
})

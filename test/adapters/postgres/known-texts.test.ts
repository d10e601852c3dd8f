import { expect, test } from 'vitest'
import { KnownTexts } from '../../../src/adapters/postgres/known-texts.ts'

test('reads what is there, whatever it read before: of the same length, with the same beginning, long, empty', () => {
  const known = new KnownTexts()
  const texts = [
    'orders',
    'orders',
    'order',
    'border',
    'ordert',
    '',
    'käse',
    'x'.repeat(256),
    'x'.repeat(257),
    `${'x'.repeat(256)}y`,
    'orders',
  ]

  const read = texts.map((text) => {
    const bytes = Buffer.from(`<${text}>`)
    return known.read(bytes, 1, bytes.length - 1)
  })

  expect(read).toEqual(texts)
})

test('goes on with more texts than it keeps', () => {
  const known = new KnownTexts()
  const texts = Array.from({ length: 2_500 }, (_, index) => `topic ${index}`)

  const read = texts.map((text) => known.read(Buffer.from(text), 0, text.length))

  expect(read).toEqual(texts)
})

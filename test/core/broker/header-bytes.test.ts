import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packHeaders, unpackHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'

const pair = fc.tuple(
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)

test('headers come back in order, names twice included', () => {
  fc.assert(
    fc.property(fc.array(pair), (headers) => {
      expect(unpackHeaders(packHeaders(headers))).toEqual(headers)
    }),
  )
})

test('a name may be longer than 64 KiB', () => {
  const headers: HeaderPair[] = [
    ['h'.repeat(70_000), Buffer.from('v')],
    ['next', Buffer.from('w')],
  ]

  expect(unpackHeaders(packHeaders(headers))).toEqual(headers)
})

test('bytes that end too early are refused', () => {
  const packed = packHeaders([['name', Buffer.from('value')]])

  for (let length = 1; length < packed.length; length++) {
    expect(() => unpackHeaders(packed.subarray(0, length))).toThrow(expect.objectContaining({ code: 'HEADERS_CORRUPT' }))
  }
})

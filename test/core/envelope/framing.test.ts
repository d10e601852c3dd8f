import { expect, test } from 'vitest'
import { fingerprintIn, framingOf, singleObjectPrefix } from '../../../src/core/envelope/framing.ts'

test.each([
  ['c3010102030405060708', 'single-object'],
  ['c30101020304050607', 'unknown'],
  ['c3020102030405060708', 'unknown'],
  ['0000000001', 'registry'],
  ['00000000', 'unknown'],
  [`01${'00'.repeat(16)}`, 'registry-guid'],
  [`01${'00'.repeat(15)}`, 'unknown'],
  ['7b7d', 'unknown'],
  ['', 'unknown'],
])('tells the framing of %s by its first bytes: %s', (hex, framing) => {
  expect(framingOf(Buffer.from(hex, 'hex'))).toBe(framing)
})

test('writes the fingerprint with its low byte first, and reads it back', () => {
  const prefix = singleObjectPrefix('00dcfb5a1b2c3d4e')

  expect(prefix.toString('hex')).toBe('c3014e3d2c1b5afbdc00')
  expect(fingerprintIn(prefix)).toBe('00dcfb5a1b2c3d4e')
})

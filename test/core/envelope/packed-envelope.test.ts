import fc from 'fast-check'
import { expect, test } from 'vitest'
import { packHeaders, unpackHeaders } from '../../../src/core/broker/header-bytes.ts'
import type { Envelope } from '../../../src/core/envelope/envelope.ts'
import { fromHeaders, toHeaders } from '../../../src/core/envelope/headers.ts'
import { packEnvelope } from '../../../src/core/envelope/packed-envelope.ts'
import { checkEnvelope, isPlainEnvelope } from '../../../src/core/envelope/rules.ts'

const envelope: Envelope = {
  specversion: '1.0',
  id: '0198f000-0000-7000-8000-000000000001',
  source: '/orders',
  type: 'shop.orders.OrderPlaced.v1',
  time: '2026-01-31T12:00:00.000Z',
  datacontenttype: 'application/avro',
  subject: 'o-1',
  correlationid: 'c-1',
  causationid: null,
  traceparent: null,
  tracestate: null,
  partitionkey: null,
  extensions: {},
  data: Buffer.from([1, 2, 3]),
}

/** What happened: bytes, or the message of the error. */
function outcomeOf(work: () => Buffer): string {
  try {
    return work().toString('hex')
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const text = fc.oneof(
  { weight: 30, arbitrary: fc.string({ minLength: 1, maxLength: 30 }) },
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.constantFrom('', 'äöü', 'a\nb', '\u007f', '\ud800', '\u{ffff}', 'x'.repeat(256), 'x'.repeat(257), 'ä'.repeat(128), 'ä'.repeat(129)),
)

const envelopes = fc.record({
  specversion: fc.oneof({ weight: 19, arbitrary: fc.constant('1.0' as const) }, { weight: 1, arbitrary: fc.constantFrom('0.3', '') }),
  id: text,
  source: text,
  type: text,
  time: fc.constantFrom(
    '2026-01-31T12:00:00Z',
    '2026-02-28T23:59:59.123456789Z',
    '2026-02-30T12:00:00Z',
    '2024-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-31T24:00:00Z',
    '2026-04-31T12:00:00+01:00',
    '2026-1-1',
    '',
  ),
  datacontenttype: fc.constantFrom('application/avro', 'application/json', ''),
  subject: fc.option(text),
  correlationid: text,
  causationid: fc.option(text),
  traceparent: fc.option(text),
  tracestate: fc.option(text),
  partitionkey: fc.option(text),
  extensions: fc.dictionary(
    fc.oneof(fc.stringMatching(/^[a-z0-9]{1,21}$/), fc.constantFrom('data', 'Tenant', '__proto__', 'constructor', 'id')),
    text,
    { maxKeys: 4 },
  ),
  data: fc.option(fc.constant(Buffer.from([1]))),
})

test('packs any envelope as its headers would be packed, and refuses it for the same reason', () => {
  fc.assert(
    fc.property(envelopes, (made) => {
      const given = made as Envelope
      expect(outcomeOf(() => packEnvelope(given))).toBe(outcomeOf(() => packHeaders(toHeaders(given))))
    }),
    { numRuns: 3000 },
  )
})

test('what is valid at first sight is valid', () => {
  let plain = 0

  fc.assert(
    fc.property(envelopes, (made) => {
      const given = made as Envelope
      if (!isPlainEnvelope(given)) return
      plain++
      // Not at first sight any more: another field makes it look twice, and only at that.
      expect(() => checkEnvelope({ ...given, subject: 'ä' })).not.toThrow()
    }),
    { numRuns: 3000 },
  )
  expect(plain).toBeGreaterThan(20)
})

test.each([
  ['ordinary', envelope, true],
  ['with extensions', { ...envelope, extensions: { tenant: 'a', region: 'eu' } }, true],
  ['a tombstone', { ...envelope, data: null }, true],
  ['the last day of a month', { ...envelope, time: '2026-04-30T12:00:00Z' }, true],
  ['a leap day, which the calendar must judge', { ...envelope, time: '2024-02-29T12:00:00Z' }, false],
  ['with letters beyond ASCII', { ...envelope, subject: 'Käse' }, false],
  ['with a field that it does not have', { ...envelope, colour: 'red' }, false],
  ['with a Map for extensions', { ...envelope, extensions: new Map([['tenant', 'a']]) as unknown as Record<string, string> }, false],
])('looks only once at an envelope that is %s: %#', (_what, given, expected) => {
  expect(isPlainEnvelope(given)).toBe(expected)
})

test('comes back as the envelope that it was', () => {
  const given = { ...envelope, extensions: { tenant: 'a', name: 'ä' }, causationid: 'm-0' }

  expect(fromHeaders(unpackHeaders(packEnvelope(given)), given.data)).toEqual(given)
})

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import type { Envelope } from '../../../src/core/envelope/envelope.ts'
import { fromHeaders, toHeaders } from '../../../src/core/envelope/headers.ts'

const data = Buffer.from([1, 2, 3])
const envelope: Envelope = {
  specversion: '1.0',
  id: '0198f000-0000-7000-8000-000000000001',
  source: '/orders',
  type: 'shop.orders.OrderPlaced.v1',
  time: '2026-01-31T12:00:00.000Z',
  datacontenttype: 'application/avro',
  subject: 'o-1',
  correlationid: 'c-1',
  causationid: 'm-0',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  tracestate: 'a=b',
  partitionkey: 'p',
  extensions: { sagaid: 's-1', tenant: 'äöü' },
  data,
}

const least = { ...envelope, subject: null, causationid: null, traceparent: null, tracestate: null, partitionkey: null, extensions: {} }

function pairs(headers: Readonly<Record<string, string | Buffer>>): HeaderPair[] {
  return Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)])
}

const required = { ce_specversion: '1.0', ce_id: '1', ce_source: '/x', ce_type: 'a.B.v1', ce_time: '2026-01-31T12:00:00Z' }

test('writes each attribute as a header, and none for what is null', () => {
  const shown = (headers: readonly HeaderPair[]): string[] => headers.map(([name, value]) => `${name}: ${value.toString()}`)

  expect(shown(toHeaders(least))).toEqual([
    'ce_specversion: 1.0',
    'ce_id: 0198f000-0000-7000-8000-000000000001',
    'ce_source: /orders',
    'ce_type: shop.orders.OrderPlaced.v1',
    'ce_time: 2026-01-31T12:00:00.000Z',
    'content-type: application/avro',
    'ce_correlationid: c-1',
  ])
  expect(shown(toHeaders(envelope)).slice(7)).toEqual([
    'ce_subject: o-1',
    'ce_causationid: m-0',
    'ce_traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    'ce_tracestate: a=b',
    'ce_partitionkey: p',
    'ce_sagaid: s-1',
    'ce_tenant: äöü',
  ])
})

test.each([
  ['all attributes', envelope],
  ['the least', least],
  ['a tombstone', { ...envelope, data: null }],
])('reads back what it wrote: %s', (_what, written) => {
  expect(fromHeaders(toHeaders(written), written.data)).toEqual(written)
})

test('reads back any texts that it accepts', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((value) => !/\p{Cc}/u.test(value) && Buffer.byteLength(value) <= 256)
  const extensions = fc.dictionary(fc.stringMatching(/^x[a-z0-9]{0,19}$/), text, { maxKeys: 5 })

  fc.assert(
    fc.property(text, text, extensions, (id, subject, given) => {
      const written = { ...envelope, id, subject, extensions: given }
      expect(fromHeaders(toHeaders(written), data)).toEqual(written)
    }),
  )
})

test('lets a foreign producer leave out what CloudEvents does not ask for', () => {
  const { ce_time: _time, ...others } = required

  expect(fromHeaders(pairs(others), null, Date.UTC(2026, 0, 31))).toEqual({
    ...least,
    id: '1',
    source: '/x',
    type: 'a.B.v1',
    time: '2026-01-31T00:00:00.000Z',
    correlationid: '1',
    data: null,
  })
})

test('puts times into UTC, and keeps what is finer than a millisecond', () => {
  const timeOf = (time: string): string => fromHeaders(pairs({ ...required, ce_time: time }), data).time

  expect(timeOf('2026-01-31T14:00:00+02:00')).toBe('2026-01-31T12:00:00.000Z')
  expect(timeOf('2026-01-31T12:00:00.123456Z')).toBe('2026-01-31T12:00:00.123456Z')
})

test('leaves headers alone that are not of CloudEvents, whatever their names', () => {
  const headers = pairs({ ...required, traceparent: 'x', CE_ID: 'other', constructor: 'y', ['__proto__']: 'z' })
  headers.push(['traceparent', Buffer.from('again')], ['__proto__', Buffer.from([0xff])])

  expect(fromHeaders(headers, data)).toMatchObject({ id: '1', traceparent: null, extensions: {} })
})

test('an extension whose name every object has is only a text', () => {
  const { extensions } = fromHeaders(pairs({ ...required, ce_constructor: 'x', ce_tenant: 'y' }), data)

  expect(Object.entries(extensions)).toEqual([
    ['constructor', 'x'],
    ['tenant', 'y'],
  ])
  expect('toString' in extensions).toBe(false)
})

test.each(['specversion', 'id', 'source', 'type', 'time'])('a record without ce_%s is no CloudEvent', (attribute) => {
  const headers = pairs(required).filter(([name]) => name !== `ce_${attribute}`)

  expect(() => fromHeaders(headers, data)).toThrow(
    expect.objectContaining({ code: 'ENVELOPE_MISSING', details: { attribute }, message: expect.stringContaining(`"ce_${attribute}"`) }),
  )
})

test('a record without headers is no CloudEvent', () => {
  expect(() => fromHeaders([], data)).toThrow(expect.objectContaining({ code: 'ENVELOPE_MISSING' }))
})

test.each<[string, Readonly<Record<string, string | Buffer>>, string]>([
  ['another version of CloudEvents', { ce_specversion: '0.3' }, '"specversion" must be "1.0"'],
  ['an empty id', { ce_id: '' }, '"id" must not be empty'],
  ['an empty type', { ce_type: '' }, '"type" must not be empty'],
  ['a time that is none', { ce_time: 'yesterday' }, '"time" must be a time of RFC 3339'],
  ['a month that is none', { ce_time: '2026-13-31T12:00:00Z' }, '"time" must be a time of RFC 3339'],
  ['bytes that are no UTF-8', { ce_subject: Buffer.from([0xc3, 0x28]) }, '"ce_subject" is not UTF-8'],
  ['a line break', { ce_subject: 'a\nb' }, '"subject" has a control character'],
  ['an attribute of 257 bytes', { ce_subject: 'a'.repeat(257) }, '"ce_subject" has 257 bytes, at most 256 are allowed'],
  ['a name in capitals', { ce_Tenant: 'x' }, '"Tenant" is not a name for an extension'],
  ['a name of 21 letters', { [`ce_${'a'.repeat(21)}`]: 'x' }, 'is not a name for an extension'],
  ['a name that changes prototypes', { ['ce___proto__']: 'x' }, '"extensions.__proto__" is a key that no map may have'],
  ['a name that CloudEvents reserves', { ce_data: 'x' }, '"data" is not a name for an extension'],
])('refuses %s', (_what, headers, problem) => {
  expect(() => fromHeaders(pairs({ ...required, ...headers }), data)).toThrow(
    expect.objectContaining({ code: 'ENVELOPE_INVALID', message: expect.stringContaining(problem) }),
  )
})

test('takes the content type from its header, from its attribute, or from both where they agree', () => {
  const json = { 'content-type': 'application/json', ce_datacontenttype: 'application/json' }

  const read = (headers: Record<string, string>) => fromHeaders(pairs({ ...required, ...headers }), data).datacontenttype

  expect(read(json)).toBe('application/json')
  expect(read({ ce_datacontenttype: 'application/json' })).toBe('application/json')
  expect(read({})).toBe('application/avro')
  expect(() => read({ ...json, 'content-type': 'text/plain' })).toThrow(/"datacontenttype" is not what the header "content-type" says/)
})

test.each(['ce_id', 'ce_tenant', 'content-type'])('refuses %s twice', (name) => {
  const headers = pairs({ ...required, [name]: 'x' })
  headers.push([name, Buffer.from('x')])

  expect(() => fromHeaders(headers, data)).toThrow(
    expect.objectContaining({ code: 'ENVELOPE_INVALID', message: expect.stringContaining('is there twice') }),
  )
})

test('refuses attributes of more than 8 KiB together', () => {
  const extensions = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`x${index}`, 'a'.repeat(250)]))

  expect(() => toHeaders({ ...envelope, extensions })).toThrow('at most 8192 are allowed')
  expect(() =>
    fromHeaders(
      pairs({ ...required, ...Object.fromEntries(Object.entries(extensions).map(([name, value]) => [`ce_${name}`, value])) }),
      data,
    ),
  ).toThrow('at most 8192 are allowed')
})

test.each<[string, Partial<Record<keyof Envelope, unknown>>, string]>([
  ['a subject of 257 bytes', { subject: 'ä'.repeat(129) }, '"ce_subject" has 258 bytes'],
  ['an extension in capitals', { extensions: { tenantId: 'x' } }, '"tenantId" is not a name for an extension'],
  ['an extension that has a field', { extensions: { subject: 'x' } }, '"subject" is not a name for an extension'],
  ['an extension that is no text', { extensions: { tenant: 5 } }, '"extensions.tenant" must be a text, got 5'],
  ['an id that is no text', { id: 5 }, '"id" must be a text, got 5'],
  ['data that are no bytes', { data: 'x' }, '"data" must be bytes'],
  ['half a character', { subject: '\ud800' }, '"subject" is not a valid text'],
])('refuses to write %s', (_what, change, problem) => {
  const wrong = { ...envelope, ...change }

  // @ts-expect-error: the type checker refuses some of these too
  expect(() => toHeaders(wrong)).toThrow(expect.objectContaining({ code: 'ENVELOPE_INVALID', message: expect.stringContaining(problem) }))
})

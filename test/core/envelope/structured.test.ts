import { describe, expect, test } from 'vitest'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import type { Envelope } from '../../../src/core/envelope/envelope.ts'
import { fromHeaders } from '../../../src/core/envelope/headers.ts'

const event = {
  specversion: '1.0',
  id: 'A-1',
  source: '/shop',
  type: 'shop.orders.OrderPlaced.v1',
  time: '2026-01-31T12:00:00Z',
  datacontenttype: 'application/json',
  data: { orderId: 'o1' },
}
const written = Date.parse('2026-02-01T00:00:00Z')

function read(value: unknown, contentType = 'application/cloudevents+json', more: readonly HeaderPair[] = []): Envelope {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return fromHeaders([['content-type', Buffer.from(contentType)], ...more], bytes, written)
}

describe('an event in structured mode', () => {
  test('is read with its data as JSON', () => {
    const { data, ...envelope } = read(event)

    expect(envelope).toMatchObject({ id: 'A-1', source: '/shop', type: event.type, time: event.time, datacontenttype: 'application/json' })
    expect(data?.toString()).toBe('{"orderId":"o1"}')
  })

  test('is known by its content type, whatever its case and parameters', () => {
    expect(read(event, 'Application/CloudEvents+JSON; charset=UTF-8').id).toBe('A-1')
  })

  test('gives the bytes of its base64 data', () => {
    const { data: _, ...rest } = event
    const avro = { ...rest, datacontenttype: 'application/avro', data_base64: Buffer.from([0xc3, 1, 2]).toString('base64') }

    expect(read(avro)).toMatchObject({ datacontenttype: 'application/avro', data: Buffer.from([0xc3, 1, 2]) })
  })

  test('may leave out what CloudEvents does not ask for', () => {
    const { specversion, id, source, type } = event

    const envelope = read({ specversion, id, source, type, subject: null })

    expect(envelope).toMatchObject({ time: '2026-02-01T00:00:00.000Z', correlationid: 'A-1', subject: null, data: null })
  })

  test('keeps extensions as the texts that they would be in a header', () => {
    const { extensions, correlationid } = read({ ...event, tenant: 'eu', retries: 3, urgent: true, correlationid: 'c', gone: null })

    expect({ ...extensions }).toEqual({ tenant: 'eu', retries: '3', urgent: 'true' })
    expect(correlationid).toBe('c')
  })

  test('counts, and not what the headers say beside it', () => {
    expect(read(event, undefined, [['ce_id', Buffer.from('other')]]).id).toBe('A-1')
  })

  test('takes the last of two attributes with one name', () => {
    expect(read(JSON.stringify(event).replace('{', '{"id":"first",')).id).toBe('A-1')
  })

  test('cannot bring a prototype with it', () => {
    const hostile = JSON.stringify(event).replace('{', '{"__proto__":{"id":"evil","admin":true},')

    expect(() => read(hostile)).toThrow(expect.objectContaining({ code: 'ENVELOPE_INVALID' }))
    expect(Reflect.get({}, 'admin')).toBeUndefined()
  })

  test('says what is missing when an attribute is there only as a name of every object', () => {
    const { id: _, ...rest } = event

    expect(() => read(rest)).toThrow(/no attribute "id"/)
  })

  const invalid: readonly (readonly [string, unknown, string, RegExp])[] = [
    ['no JSON', 'hello', 'ENVELOPE_INVALID', /not JSON/],
    ['no object', [event], 'ENVELOPE_INVALID', /not a JSON object/],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'ENVELOPE_INVALID', /UTF-8/],
    ['another version of CloudEvents', { ...event, specversion: '0.3' }, 'ENVELOPE_INVALID', /specversion/],
    ['an attribute that is a list', { ...event, tenant: ['a'] }, 'ENVELOPE_INVALID', /"tenant".*a list/],
    ['an attribute that is a fraction', { ...event, tenant: 1.5 }, 'ENVELOPE_INVALID', /"tenant"/],
    ['an id that is a number too large to be kept', { ...event, id: 1e300 }, 'ENVELOPE_INVALID', /"id"/],
    ['a long attribute', { ...event, subject: 'x'.repeat(257) }, 'ENVELOPE_INVALID', /257 bytes/],
    [
      'many attributes',
      { ...event, ...Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`a${i}`, 'x'.repeat(200)])) },
      'ENVELOPE_INVALID',
      /8192/,
    ],
    ['an extension in upper case', { ...event, tenantId: 'a' }, 'ENVELOPE_INVALID', /tenantId/],
    ['data of both kinds', { ...event, data_base64: '' }, 'ENVELOPE_INVALID', /data_base64/],
    ['base64 that is none', { ...event, data: undefined, data_base64: 'a' }, 'ENVELOPE_INVALID', /not base64/],
    ['JSON data that is said to be Avro', { ...event, datacontenttype: 'application/avro' }, 'ENVELOPE_INVALID', /application\/avro/],
    ['data nested a million levels deep', `{"data":${'['.repeat(500_000)}${']'.repeat(500_000)}}`, 'ENVELOPE_INVALID', /deeper/],
    ['more than a megabyte', { ...event, data: 'x'.repeat(1024 * 1024) }, 'VALUE_TOO_LARGE', /bytes/],
    ['half of a surrogate pair', JSON.stringify(event).replace('A-1', '\\ud800'), 'ENVELOPE_INVALID', /"id"/],
  ]
  test.each(invalid)('is refused with %s', (_, value, code, says) => {
    expect(() => read(value)).toThrow(expect.objectContaining({ name: 'ContractError', code, message: expect.stringMatching(says) }))
  })

  test.each(['application/cloudevents-batch+json', 'application/cloudevents+avro', 'application/cloudevents'])(
    'is refused by name as %s',
    (type) => {
      expect(() => read(event, type)).toThrow(expect.objectContaining({ code: 'ENVELOPE_INVALID', message: expect.stringContaining(type) }))
    },
  )

  test('is missing where the record has no value', () => {
    const headers: HeaderPair[] = [['content-type', Buffer.from('application/cloudevents+json')]]

    expect(() => fromHeaders(headers, null, written)).toThrow(expect.objectContaining({ code: 'ENVELOPE_MISSING' }))
  })

  test('is refused within milliseconds however it is made', () => {
    const values = [`{"a":"${'\\\\'.repeat(400_000)}"}`, `${'{"a":'.repeat(150_000)}`, `"${'\\"'.repeat(500_000)}`]
    const start = performance.now()

    for (const value of values) expect(() => read(value)).toThrow(/is no CloudEvent|is not valid/)

    expect(performance.now() - start).toBeLessThan(150)
  })
})

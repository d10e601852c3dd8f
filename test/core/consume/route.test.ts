import { describe, expect, test } from 'vitest'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import { type Routed, type Router, routeRecord } from '../../../src/core/consume/route.ts'
import { encodePayload, fingerprintOf } from '../../../src/core/contract/codec.ts'
import { type AnyContract, contract } from '../../../src/core/contract/contract.ts'
import { WriterSchemas } from '../../../src/core/contract/writer-schemas.ts'
import { registryPrefix } from '../../../src/core/envelope/framing.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { inboxId } from '../../../src/foundation/ids.ts'
import { anyPolicy } from '../../kit/policy.ts'

const place = { topic: 'orders', partition: 3 }
const schemas = [
  {
    type: 'record',
    name: 'shop.Order',
    fields: [
      { name: 'id', type: 'string' },
      { name: 'cents', type: 'int' },
    ],
  },
  {
    type: 'record',
    name: 'shop.Order',
    fields: [
      { name: 'id', type: 'string' },
      { name: 'cents', type: 'long' },
      { name: 'note', type: ['null', 'string'], default: null },
    ],
  },
] as const

function orderOf(version: number, known = 2): AnyContract {
  const versions = schemas.slice(0, known).map((schema, index) => ({ version: index + 1, fingerprint: fingerprintOf(schema), schema }))
  return contract({ kind: 'event', name: 'shop.Order', version, topic: 'orders', key: 'id', replies: [], versions })
}

/** A registry whose schemas have the ids 1, 2, …, all of them asked for already where `asked` is set. */
async function routerFor(order: AnyContract, registered: readonly unknown[], asked = true): Promise<Router<object>> {
  const registry = {
    getById: async (id: number) => (registered[id - 1] === undefined ? undefined : { schema: JSON.stringify(registered[id - 1]) }),
    register: async () => 0,
  }
  const writerSchemas = new WriterSchemas({ registry, clock: systemClock })
  if (asked) for (const index of registered.keys()) await writerSchemas.load(index + 1)
  return { ...routerWithout(order), writerSchemas }
}

function routerWithout(order: AnyContract): Router<object> {
  const policy = anyPolicy
  return { subscriptions: new Map([['shop.Order', { contract: order, handler: async () => undefined, policy }]]) }
}

function recordOf(value: Buffer | null, headers: Readonly<Record<string, string>> = {}): ConsumedRecord {
  const pairs = Object.entries(headers).map(([name, text]): HeaderPair => [name, Buffer.from(text)])
  return { offset: 12n, key: Buffer.from('k'), value, headers: pairs, timestampMs: Date.parse('2026-01-31T12:00:00Z') }
}

const ce = { ce_specversion: '1.0', ce_id: 'm1', ce_source: '/till', ce_type: 'shop.Order.v1', ce_time: '2026-01-31T12:00:00Z' }

function framed(id: number, order: AnyContract, data: unknown): Buffer {
  return encodePayload(order.definition, data, registryPrefix(id))
}

function kindOf(routed: Routed<object>): unknown {
  const { kind } = routed
  return kind === 'message' ? routed.message : routed
}

describe('a value in registry framing', () => {
  test('is read as the version that is subscribed, whichever version wrote it', async () => {
    const oldest = routeRecord(recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 }), ce), place, await routerFor(orderOf(2), schemas))
    const newest = routeRecord(
      recordOf(framed(2, orderOf(2), { id: 'o', cents: 5, note: 'n' }), { ...ce, ce_type: 'shop.Order.v2' }),
      place,
      await routerFor(orderOf(2), schemas),
    )

    expect(kindOf(oldest)).toMatchObject({ type: 'shop.Order.v1', data: { id: 'o', cents: 5, note: null } })
    expect(kindOf(newest)).toMatchObject({ type: 'shop.Order.v2', data: { id: 'o', cents: 5, note: 'n' } })
  })

  test('is read in a version that this build does not know, from the registry alone', async () => {
    const withV3 = { ...schemas[0], fields: [...schemas[0].fields, { name: 'sku', type: 'string', default: '' }] }
    const v3 = contract({ ...orderOf(1).definition, versions: [{ version: 1, fingerprint: fingerprintOf(withV3), schema: withV3 }] })
    const value = framed(1, v3, { id: 'o', cents: 5, sku: 's' })

    const routed = routeRecord(recordOf(value, { ...ce, ce_type: 'shop.Order.v3' }), place, await routerFor(orderOf(1, 1), [withV3]))

    expect(kindOf(routed)).toMatchObject({ type: 'shop.Order.v3', data: { id: 'o', cents: 5 } })
  })

  test('asks for its schema first, and only where somebody handles its type', async () => {
    const router = await routerFor(orderOf(1), schemas, false)
    const value = framed(1, orderOf(1), { id: 'o', cents: 5 })

    expect(routeRecord(recordOf(value, ce), place, router)).toEqual({ kind: 'schema needed', schemaId: 1 })
    expect(routeRecord(recordOf(value, { ...ce, ce_type: 'shop.Else.v1' }), place, router)).toMatchObject({
      kind: 'unhandled',
      name: 'shop.Else',
    })
  })

  test('waits with its key when the registry does not have its schema', async () => {
    const router = await routerFor(orderOf(1), schemas)
    await router.writerSchemas?.load(99)

    const routed = routeRecord(recordOf(framed(99, orderOf(1), { id: 'o', cents: 5 }), ce), place, router)

    expect(routed).toMatchObject({ kind: 'unknown schema', inboxId: inboxId('/till', 'm1'), type: 'shop.Order.v1', id: 'm1' })
  })

  test('is unreadable where no registry is configured, which the reason says', () => {
    const routed = routeRecord(recordOf(framed(7, orderOf(1), { id: 'o', cents: 5 }), ce), place, routerWithout(orderOf(1)))

    expect(routed).toMatchObject({
      kind: 'unreadable',
      code: 'FRAMING_UNKNOWN',
      reason: expect.stringMatching(/schema id 7.*no schema registry.*REGISTRY_URL/),
    })
  })

  test('is unreadable when its schema is of another record', async () => {
    const other = { type: 'record', name: 'shop.Invoice', fields: [{ name: 'id', type: 'string' }] }

    const routed = routeRecord(recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 }), ce), place, await routerFor(orderOf(1), [other]))

    expect(routed).toMatchObject({ kind: 'unreadable', code: 'SCHEMA_INCOMPATIBLE' })
  })

  test('is unreadable when it ends too early, or too late', async () => {
    const value = framed(1, orderOf(1), { id: 'o', cents: 5 })
    const router = await routerFor(orderOf(1), schemas)

    for (const bytes of [value.subarray(0, -1), Buffer.concat([value, Buffer.from([0])])]) {
      expect(routeRecord(recordOf(bytes, ce), place, router)).toMatchObject({ kind: 'unreadable', code: 'PAYLOAD_UNREADABLE' })
    }
  })

  test('is not taken for a decimal of another scale, although the fingerprints are the same', async () => {
    const money = (scale: number) => ({
      type: 'record',
      name: 'shop.Order',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'total', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale } },
      ],
    })
    const orderWith = (scale: number): AnyContract => {
      const versions = [{ version: 1, fingerprint: fingerprintOf(money(scale)), schema: money(scale) }]
      return contract({ ...orderOf(1).definition, versions })
    }
    const value = framed(1, orderWith(4), { id: 'o', total: '12.5000' })

    const routed = routeRecord(recordOf(value, ce), place, await routerFor(orderWith(2), [money(4)]))

    expect(fingerprintOf(money(2))).toBe(fingerprintOf(money(4)))
    expect(routed).toMatchObject({ kind: 'unreadable', code: 'SCHEMA_INCOMPATIBLE' })
  })
})

describe('a record of a Java producer without CloudEvents', () => {
  test('has the type of its schema, the id of its place, and the time of the record', async () => {
    const routed = routeRecord(
      recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 }), { 'x-trace': '1' }),
      place,
      await routerFor(orderOf(2), schemas),
    )

    expect(kindOf(routed)).toMatchObject({
      name: 'shop.Order',
      type: 'shop.Order.v1',
      id: 'orders/3/12',
      source: '/topics/orders',
      time: new Date('2026-01-31T12:00:00Z'),
      correlationId: 'orders/3/12',
      data: { id: 'o', cents: 5, note: null },
    })
  })

  test('is known by its place whatever became of its schema', async () => {
    const router = await routerFor(orderOf(1), schemas)
    await router.writerSchemas?.load(99)

    const readable = routeRecord(recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 })), place, router)
    const unknown = routeRecord(recordOf(framed(99, orderOf(1), { id: 'o', cents: 5 })), place, router)

    expect(unknown).toMatchObject({ kind: 'unknown schema', type: 'unknown', id: 'orders/3/12' })
    expect('inboxId' in readable && 'inboxId' in unknown && readable.inboxId === unknown.inboxId).toBe(true)
  })

  test('is read by Avro rules when its schema is none of ours', async () => {
    const foreign = {
      type: 'record',
      name: 'Order',
      namespace: 'shop',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'cents', type: 'int' },
        { name: 'vat', type: 'int' },
      ],
    }
    const writer = contract({ ...orderOf(1).definition, versions: [{ version: 1, fingerprint: fingerprintOf(foreign), schema: foreign }] })

    const routed = routeRecord(recordOf(framed(1, writer, { id: 'o', cents: 5, vat: 1 })), place, await routerFor(orderOf(2), [foreign]))

    expect(kindOf(routed)).toMatchObject({ type: 'shop.Order.v2', data: { id: 'o', cents: 5, note: null } })
  })

  test('is passed over when nobody handles its record', async () => {
    const other = { type: 'record', name: 'shop.Invoice', fields: [{ name: 'id', type: 'string' }] }

    const routed = routeRecord(recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 })), place, await routerFor(orderOf(1), [other]))

    expect(routed).toMatchObject({ kind: 'unhandled', name: 'shop.Invoice' })
  })

  test('with CloudEvents of its own keeps their id, and has the type of its schema where theirs has no version', async () => {
    const headers = { ...ce, ce_type: 'com.shop.order-placed', 'content-type': 'application/octet-stream' }

    const routed = routeRecord(recordOf(framed(1, orderOf(1), { id: 'o', cents: 5 }), headers), place, await routerFor(orderOf(2), schemas))

    expect(routed).toMatchObject({ kind: 'message', inboxId: inboxId('/till', 'm1') })
    expect(kindOf(routed)).toMatchObject({ type: 'shop.Order.v1', id: 'm1', source: '/till' })
  })

  test('is refused by name where a GUID or a header names its schema', async () => {
    const router = await routerFor(orderOf(1), schemas)
    const guid = Buffer.concat([Buffer.from([1]), Buffer.alloc(16, 0xab), Buffer.from([0])])
    const bare = framed(1, orderOf(1), { id: 'o', cents: 5 })

    expect(routeRecord(recordOf(guid, ce), place, router)).toMatchObject({
      code: 'FRAMING_UNKNOWN',
      reason: expect.stringContaining('GUID abab'),
    })
    expect(routeRecord(recordOf(bare, { ...ce, __value_schema_id: 'x' }), place, router)).toMatchObject({
      code: 'FRAMING_UNKNOWN',
      reason: expect.stringContaining('__value_schema_id'),
    })
  })
})

describe('JSON of a foreign producer', () => {
  const json = { ...ce, 'content-type': 'application/json' }

  function routed(data: unknown, headers: Readonly<Record<string, string>> = json, order = orderOf(2)): Routed<object> {
    return routeRecord(recordOf(Buffer.from(typeof data === 'string' ? data : JSON.stringify(data)), headers), place, routerWithout(order))
  }

  test('is checked against the version that it names and read as the one that is subscribed', () => {
    expect(kindOf(routed({ id: 'o', cents: 5 }))).toMatchObject({ type: 'shop.Order.v1', data: { id: 'o', cents: 5, note: null } })
    expect(kindOf(routed({ id: 'o', cents: 2 ** 40 }, { ...json, ce_type: 'shop.Order.v2' }))).toMatchObject({ data: { cents: 2 ** 40 } })
  })

  test('is read from the structured mode', () => {
    const event = { specversion: '1.0', id: 'm1', source: '/till', type: 'shop.Order.v1', data: { id: 'o', cents: 5 } }

    expect(kindOf(routed(event, { 'content-type': 'application/cloudevents+json' }))).toMatchObject({
      id: 'm1',
      data: { id: 'o', cents: 5 },
    })
  })

  test('may carry Avro in the structured mode', () => {
    const data_base64 = encodePayload(orderOf(1).definition, { id: 'o', cents: 5 }).toString('base64')
    const event = { specversion: '1.0', id: 'm1', source: '/till', type: 'shop.Order.v1', datacontenttype: 'application/avro', data_base64 }

    expect(kindOf(routed(event, { 'content-type': 'application/cloudevents+json' }))).toMatchObject({ data: { id: 'o', cents: 5 } })
  })

  test('is read as Avro when it is, whatever its content type says', () => {
    const value = encodePayload(orderOf(1).definition, { id: 'o', cents: 5 })

    expect(kindOf(routeRecord(recordOf(value, json), place, routerWithout(orderOf(1))))).toMatchObject({ data: { id: 'o', cents: 5 } })
  })

  test('waits with its key in a version that this build does not know', () => {
    expect(routed({ id: 'o', cents: 5 }, { ...json, ce_type: 'shop.Order.v9' })).toMatchObject({
      kind: 'unknown schema',
      reason: expect.stringContaining('v9'),
    })
  })

  const invalid: readonly (readonly [string, string, string, RegExp])[] = [
    ['a fraction for an integer', '{"id":"o","cents":12.5}', 'CONTRACT_VIOLATED', /"cents"/],
    ['a number beyond the type', '{"id":"o","cents":3000000000}', 'CONTRACT_VIOLATED', /"cents"/],
    ['a field that nobody knows', '{"id":"o","cents":1,"constructor":1}', 'CONTRACT_VIOLATED', /constructor/],
    ['a prototype', '{"id":"o","cents":1,"__proto__":{"admin":true}}', 'CONTRACT_VIOLATED', /__proto__/],
    ['a missing field', '{"id":"o"}', 'CONTRACT_VIOLATED', /"cents" is missing/],
    ['a list', '[]', 'CONTRACT_VIOLATED', /object/],
    ['no JSON', 'hello', 'PAYLOAD_UNREADABLE', /JSON/],
    ['many levels', `{"id":${'['.repeat(1_000)}${']'.repeat(1_000)}}`, 'PAYLOAD_UNREADABLE', /deeper/],
    ['half of a surrogate pair', '{"id":"\\ud800","cents":1}', 'CONTRACT_VIOLATED', /surrogate/],
  ]
  test.each(invalid)('is unreadable with %s', (_, text, code, says) => {
    expect(routed(text)).toMatchObject({ kind: 'unreadable', code, reason: expect.stringMatching(says) })
    expect(Reflect.get({}, 'admin')).toBeUndefined()
  })

  test('takes the last of two fields with one name', () => {
    expect(kindOf(routed('{"id":"first","id":"o","cents":5}'))).toMatchObject({ data: { id: 'o' } })
  })

  test('says bytes in base64, times in RFC 3339, and numbers that are too large as texts', () => {
    const schema = {
      type: 'record',
      name: 'shop.Order',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'seal', type: 'bytes' },
        { name: 'hash', type: ['null', { type: 'fixed', name: 'shop.Hash', size: 2 }], default: null },
        { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
        { name: 'huge', type: { type: 'long', 'x-js': 'bigint' } },
        { name: 'total', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 } },
        { name: 'tags', type: { type: 'map', values: 'bytes' }, default: {} },
      ],
    }
    const order = contract({ ...orderOf(1).definition, versions: [{ version: 1, fingerprint: fingerprintOf(schema), schema }] })
    const data = {
      id: 'o',
      seal: 'AQI=',
      hash: 'AQI=',
      at: '2026-01-31T12:00:00Z',
      huge: '9007199254740993',
      total: '12.50',
      tags: { a: 'AQ==' },
    }

    expect(kindOf(routed(data, json, order))).toMatchObject({
      data: {
        seal: Buffer.from([1, 2]),
        hash: Buffer.from([1, 2]),
        at: new Date('2026-01-31T12:00:00Z'),
        huge: 9007199254740993n,
        total: '12.50',
        tags: { a: Buffer.from([1]) },
      },
    })
  })
})

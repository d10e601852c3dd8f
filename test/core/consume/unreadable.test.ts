import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { countedOn } from '../../kit/contracts.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

const Counted = countedOn('t')

describe('a record that is no message for us', () => {
  const envelope = (type: string, more: readonly (readonly [string, string])[] = []) => {
    const attributes = [['ce_specversion', '1.0'], ['ce_id', randomUUID()], ['ce_source', '/foreign'], ['ce_type', type], ...more] as const
    return attributes.map(([name, value]) => [name, Buffer.from(value)] as const)
  }

  test.for([
    ['foreign bytes without an envelope', { value: Buffer.from('hello') }, 'ENVELOPE_MISSING'],
    ['a megabyte of zeros', { value: Buffer.alloc(1_000_000) }, 'ENVELOPE_MISSING'],
    ['a null value without an envelope', { value: null }, 'ENVELOPE_MISSING'],
    ['a null value where data is needed', { value: null, headers: envelope('test.Counted.v1') }, 'VALUE_MISSING'],
    ['an unknown framing', { value: Buffer.from('{"a":1}'), headers: envelope('test.Counted.v1') }, 'FRAMING_UNKNOWN'],
    ['a type without a version', { value: Buffer.from('x'), headers: envelope('test.Counted') }, 'TYPE_INVALID'],
  ] as const)('%s: kept with its bytes, and nobody waits', async ([, record, code]) => {
    const bench = await ConsumeBench.open()
    const key = Buffer.from('a')
    await bench.append({ key, ...record })
    await bench.publish('a')
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 0, reason_code: code, keyed: false }])
    expect(await bench.query('select record_key, record_value from trunkline.parked_message')).toEqual([
      { record_key: key, record_value: record.value },
    ])
    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.unreadable')).toBe(1)
    expect(await bench.query("select from trunkline.incident where kind = 'unreadable'")).toHaveLength(1)
  })

  test('a payload that ends too early is kept', async () => {
    const bench = await ConsumeBench.open()
    const { fingerprint = '' } = Counted.definition.versions[0] ?? {}
    const framed = Buffer.concat([Buffer.from([0xc3, 0x01]), Buffer.from(fingerprint, 'hex').reverse(), Buffer.from([0x08])])
    await bench.append({ key: Buffer.from('a'), value: framed, headers: envelope('test.Counted.v1') })
    await consuming(bench)

    await bench.settled()

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 0, reason_code: 'PAYLOAD_UNREADABLE', keyed: false }])
  })

  test('a type that nobody in the group handles is passed over, and told once', async () => {
    const bench = await ConsumeBench.open()
    await bench.append({ value: Buffer.from('x'), headers: envelope('test.Foreign.v1') })
    await bench.append({ value: Buffer.from('x'), headers: envelope('test.Foreign.v2') })
    await bench.publish('a')
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.parked()).toEqual([])
    expect(witness.count('delivery.skipped')).toBe(2)
    expect(await bench.query('select kind, subject from trunkline.incident')).toEqual([
      { kind: 'type_unhandled', subject: 'judge test.Foreign' },
    ])
  })

  test('a type that another build of the group handles waits for it, with its key', async () => {
    const bench = await ConsumeBench.open()
    await bench.query("insert into trunkline.group_handles (consumer_group, name) values ('judge', 'test.Foreign')")
    await bench.append({ key: Buffer.from('a'), value: Buffer.from('x'), headers: envelope('test.Foreign.v1') })
    await bench.publish('a')
    await bench.publish('b')
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['b1'])
    expect(await bench.parked()).toMatchObject([
      { state: 'waiting', attempts: 0, reason_code: 'HANDLER_ELSEWHERE' },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED' },
    ])
  })

  test('a handled type in a schema that is not known here parks its key', async () => {
    const bench = await ConsumeBench.open()
    const value = Buffer.concat([Buffer.from([0xc3, 0x01]), Buffer.alloc(8, 7), Buffer.from('x')])
    await bench.append({ key: Buffer.from('a'), value, headers: envelope('test.Counted.v2') })
    await bench.publish('a')
    await bench.publish('b')
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['b1'])
    expect(await bench.parked()).toMatchObject([
      { state: 'waiting', reason_code: 'SCHEMA_UNKNOWN' },
      { state: 'waiting', reason_code: 'KEY_PARKED' },
    ])
  })
})

import { expect, test } from 'vitest'
import { FetchedRecords } from '../../../src/adapters/wire/fetched-records.ts'
import { decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import { batchOf } from '../kafkajs/records.ts'

function record(offset: number, bytes = 1, headers: readonly HeaderPair[] = []): ConsumedRecord {
  return { offset: BigInt(offset), key: null, value: Buffer.alloc(bytes), headers, timestampMs: 0 }
}

function offsetsOf({ records }: { readonly records: readonly ConsumedRecord[] }): readonly number[] {
  return records.map(({ offset }) => Number(offset))
}

test('what was fetched record by record is taken together, in order', () => {
  const fetched = new FetchedRecords()
  for (const offset of [4, 5, 7]) fetched.add([record(offset)])

  expect(offsetsOf(fetched.take())).toEqual([4, 5, 7])
  expect(offsetsOf(fetched.take())).toEqual([])
})

test('no more is taken together than a batch may have: what is left waits for its turn', () => {
  const fetched = new FetchedRecords()
  const three = Array.from({ length: 3 }, (_, batch) => Array.from({ length: 2_000 }, (_, index) => record(batch * 2_000 + index)))
  for (const records of three) fetched.add(records)

  expect(offsetsOf(fetched.take())).toHaveLength(4_000)
  expect(offsetsOf(fetched.take())[0]).toBe(4_000)
})

test('a record that was read from a batch takes what its bytes take, and little else before it is read', async () => {
  const headers = Array.from({ length: 10 }, (_, index): [string, Buffer] => [`ce_${index}`, Buffer.alloc(20)])
  const [read] = await decodeRecords(batchOf([{ key: null, value: Buffer.alloc(200), headers, timestampMs: 0 }]), [])
  const fetched = new FetchedRecords()

  const before = fetched.add([read as ConsumedRecord])
  const seen = fetched.take().records[0]?.headers

  expect(before).toBeGreaterThan(450)
  expect(before).toBeLessThan(600)
  expect(seen).toEqual(headers)
})

test('a record with headers takes what its headers take: ten small ones are more than a small value', () => {
  const headers = Array.from({ length: 10 }, (_, index): [string, Buffer] => [`ce_${index}`, Buffer.alloc(20)])

  const plain = new FetchedRecords().add([record(1, 200)])
  const enveloped = new FetchedRecords().add([record(1, 200, headers)])

  expect(enveloped - plain).toBeGreaterThan(1_500)
})

test('a batch that is larger than what is taken together is taken alone', () => {
  const fetched = new FetchedRecords()
  for (const offset of [1, 2, 3]) fetched.add([record(offset, 900_000)])

  expect([offsetsOf(fetched.take()), offsetsOf(fetched.take()), offsetsOf(fetched.take())]).toEqual([[1], [2], [3]])
})

test('headers count: a record may consist of little else', () => {
  const fetched = new FetchedRecords()

  fetched.add([record(1, 1, [['trace', Buffer.alloc(16_000)]])])

  expect(fetched.bytes).toBeGreaterThan(16_000)
})

test('each byte that was added is given back once, by taking or by dropping', () => {
  const fetched = new FetchedRecords()
  const added = fetched.add([record(1)]) + fetched.add([record(2, 5_000_000)]) + fetched.add([record(3)])

  const taken = fetched.take().bytes
  const dropped = fetched.clear()

  expect(taken + dropped).toBe(added)
  expect([fetched.bytes, fetched.isEmpty]).toEqual([0, true])
})

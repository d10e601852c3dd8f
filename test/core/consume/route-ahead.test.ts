import { expect, test } from 'vitest'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { BatchRecord, MessageRecord } from '../../../src/core/consume/lanes.ts'
import { RouteAhead } from '../../../src/core/consume/route-ahead.ts'

type Known = BatchRecord<object>

function recordAt(offset: bigint, value: Buffer | null = null): ConsumedRecord {
  return { offset, key: null, value, headers: [], timestampMs: 0 }
}

function messageOf(record: ConsumedRecord): Known {
  const routed: Pick<MessageRecord<object>['routed'], 'kind'> = { kind: 'message' }
  return { record, routed: routed as MessageRecord<object>['routed'], lane: '', key: null }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const records = [0n, 1n, 2n, 3n].map((offset) => recordAt(offset))
const many = Array.from({ length: 20 }, (_, offset) => recordAt(BigInt(offset)))
const large = [0n, 1n, 2n].map((offset) => recordAt(offset, Buffer.alloc(8_192)))

test.for<[string, readonly ConsumedRecord[], readonly number[]]>([
  ['eight records, where they are small,', many, [0, 16, 20]],
  ['a large one', large, [0, 2, 3]],
])('looks at %s in each turn of the event loop, and remembers what they are', async ([, given, expected]) => {
  const ahead = new RouteAhead<object>()
  const looked: bigint[] = []

  ahead.begin(given, (record) => {
    looked.push(record.offset)
    return messageOf(record)
  })
  const atOnce = looked.length
  await turns(2)
  const afterTwo = looked.length
  await turns(4)

  expect([atOnce, afterTwo, looked.length]).toEqual(expected)
  expect(given.map((record) => ahead.take(record)?.record)).toEqual(given)
})

test('stops at the first that is no message: more may be known of it when its turn comes', async () => {
  const ahead = new RouteAhead<object>()

  ahead.begin(records, (record) => (record.offset === 1n ? undefined : messageOf(record)))
  await turns(6)

  expect(records.map((record) => ahead.take(record) !== undefined)).toEqual([true, false, false, false])
})

test('forgets everything when it ends, and looks no further', async () => {
  const ahead = new RouteAhead<object>()
  let looked = 0
  const route = (record: ConsumedRecord): Known => {
    looked++
    return messageOf(record)
  }

  ahead.begin(large, route)
  await turns(2)
  ahead.end()
  await turns(4)

  expect(looked).toBe(2)
  expect(large.map((record) => ahead.take(record))).toEqual([undefined, undefined, undefined])
})

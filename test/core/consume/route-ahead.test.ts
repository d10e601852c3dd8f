import { expect, test } from 'vitest'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { BatchRecord, MessageRecord } from '../../../src/core/consume/lanes.ts'
import { RouteAhead } from '../../../src/core/consume/route-ahead.ts'

type Known = BatchRecord<object>

function recordAt(offset: bigint): ConsumedRecord {
  return { offset, key: null, value: null, headers: [], timestampMs: 0 }
}

function messageOf(record: ConsumedRecord): Known {
  const routed: Pick<MessageRecord<object>['routed'], 'kind'> = { kind: 'message' }
  return { record, routed: routed as MessageRecord<object>['routed'], lane: '', key: null }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const records = [0n, 1n, 2n, 3n].map(recordAt)

test('looks at one record in each turn of the event loop, and remembers what they are', async () => {
  const ahead = new RouteAhead<object>()
  const looked: bigint[] = []

  ahead.begin(records, (record) => {
    looked.push(record.offset)
    return messageOf(record)
  })
  const atOnce = looked.length
  await turns(2)
  const afterTwo = looked.length
  await turns(4)

  expect([atOnce, afterTwo, looked.length]).toEqual([0, 2, 4])
  expect(records.map((record) => ahead.take(record)?.record)).toEqual(records)
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

  ahead.begin(records, route)
  await turns(2)
  ahead.end()
  await turns(4)

  expect(looked).toBe(2)
  expect(records.map((record) => ahead.take(record))).toEqual([undefined, undefined, undefined, undefined])
})

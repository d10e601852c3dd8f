import { expect, test } from 'vitest'
import { decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'
import { keptForms } from '../../../src/core/consume/kept-form.ts'
import type { ParkedMessage } from '../../../src/core/consume/parking-store.ts'
import { reasonFor } from '../../../src/core/failures/reason.ts'
import { batchOf } from '../../adapters/kafkajs/records.ts'

/** As it comes from Kafka: its parts are read from the bytes of its batch. */
async function parkedFromKafka(): Promise<ParkedMessage> {
  const headers = [['name', Buffer.from('value')] as const]
  const written = { key: Buffer.from('key'), value: Buffer.from('value'), headers, timestampMs: 7 }
  const [record] = await decodeRecords(batchOf([written], { baseOffset: 3n }), [])
  if (record === undefined || 'isControlRecord' in record) throw new Error('There is no record.')
  return {
    group: 'g',
    inboxId: 'i',
    type: 't',
    name: null,
    key: { topic: 'orders', hash: Buffer.from('key'), key: Buffer.from('key') },
    attempts: 1,
    reason: reasonFor('CODE', 'what the record said', 'test.Counted'),
    state: 'dead',
    queued: true,
    delayMs: 0,
    place: { topic: 'orders', partition: 0 },
    record,
  }
}

test('whatever is given up of a message, its key, its value and its place are kept', async () => {
  const message = await parkedFromKafka()

  const kept = keptForms.map(({ of }) => of(message).record)

  for (const record of kept) expect([record.offset, String(record.key), String(record.value)]).toEqual([3n, 'key', 'value'])
  expect(kept.map(({ headers, timestampMs }) => [headers.length, timestampMs])).toEqual([
    [1, 7],
    [1, 7],
    [0, 0],
  ])
})

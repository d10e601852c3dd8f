import { expect, test } from 'vitest'
import { routeRecord } from '../../../src/core/consume/route.ts'

test('a batch that the driver could not read is an unreadable record, known by where it stands', () => {
  const place = { topic: 't', partition: 3 }
  const unreadable = { code: 'KAFKA_CODEC_UNKNOWN', reason: 'It is compressed with snappy.' }
  const record = { key: null, value: Buffer.from('batch'), headers: [], timestampMs: 0, unreadable }

  const routed = [7n, 8n].map((offset) => routeRecord({ ...record, offset }, place, { subscriptions: new Map() }))

  expect(routed).toMatchObject([
    { kind: 'unreadable', ...unreadable },
    { kind: 'unreadable', ...unreadable },
  ])
  expect(new Set(routed.map((each) => Reflect.get(each, 'inboxId'))).size).toBe(2)
})

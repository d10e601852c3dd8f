import { expect, test } from 'vitest'
import type { Envelope } from '../../../src/core/envelope/envelope.ts'
import { toOutboxRow } from '../../../src/core/outbox/to-outbox-row.ts'

const envelope: Envelope = {
  specversion: '1.0',
  id: '01890a5d-ac96-774b-bcce-b302099a8057',
  source: '/shop',
  type: 'test.Counted.v1',
  time: '2026-03-01T00:00:00Z',
  datacontenttype: 'application/avro',
  subject: null,
  correlationid: '01890a5d-ac96-774b-bcce-b302099a8057',
  causationid: null,
  traceparent: null,
  tracestate: null,
  partitionkey: null,
  extensions: {},
  data: Buffer.from('data'),
}

test('a message without a key is routed by its id, which no other message has', () => {
  const { key, keyHash, bucket } = toOutboxRow(envelope, 't', null)

  expect({ key, keyHash, bucket }).toEqual({ key: null, keyHash: 1_397_575_165, bucket: 101 })
})

test('a message with a key is routed by it, whatever its id', () => {
  const one = toOutboxRow(envelope, 't', 'k')
  const other = toOutboxRow({ ...envelope, id: '01890a5d-ac96-774b-bcce-b302099a8058' }, 't', 'k')

  expect(one.key).toEqual(Buffer.from('k'))
  expect([one.keyHash, one.bucket]).toEqual([other.keyHash, other.bucket])
})

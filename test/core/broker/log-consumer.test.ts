import { expect, test } from 'vitest'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'

// Checked by the type checker: a line that is no type error is one under "@ts-expect-error".
test('a copy of a record that may have lost its headers does not compile; one that names them does', () => {
  const record: ConsumedRecord = { offset: 7n, key: null, value: null, headers: [['a', Buffer.from('b')]], timestampMs: 0 }

  // @ts-expect-error: headers may be read on demand, by a getter that a spread leaves out
  const partial: ConsumedRecord = { ...record, offset: 8n }
  const whole: ConsumedRecord = { ...record, offset: 8n, headers: record.headers }

  expect([partial.offset, whole.offset, whole.headers]).toEqual([8n, 8n, record.headers])
})

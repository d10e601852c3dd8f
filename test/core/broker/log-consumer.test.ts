import { expect, test } from 'vitest'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'

// Checked by the type checker: a line that is no type error is one under "@ts-expect-error".
test('a copy of a record that may have lost its key, value or headers does not compile; one that names them does', () => {
  const record: ConsumedRecord = { offset: 7n, key: null, value: null, headers: [['a', Buffer.from('b')]], timestampMs: 0 }
  const { key, value, headers } = record

  // @ts-expect-error: each may be read on demand, by a getter that a spread leaves out
  const withoutHeaders: ConsumedRecord = { ...record, key, value }
  // @ts-expect-error: likewise
  const withoutKey: ConsumedRecord = { ...record, value, headers }
  // @ts-expect-error: likewise
  const withoutValue: ConsumedRecord = { ...record, key, headers }
  const whole: ConsumedRecord = { ...record, offset: 8n, key, value, headers }

  expect([withoutHeaders.offset, withoutKey.offset, withoutValue.offset, whole]).toEqual([7n, 7n, 7n, { ...record, offset: 8n }])
})

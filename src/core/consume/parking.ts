import { createHash } from 'node:crypto'
import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import type { KeyReference } from './parking-store.ts'

/** The key that a message waits in: that of its record, or itself where the record has none. */
export function keyOf({ topic }: TopicPartition, { key }: ConsumedRecord, inboxId: string): KeyReference {
  if (key === null) return keyOfOne(topic, inboxId)
  return { topic, hash: createHash('sha256').update(key).digest(), key }
}

/** The key of a message that neither waits for others nor makes them wait. */
export function keyOfOne(topic: string, inboxId: string): KeyReference {
  // Sixteen bytes: no sha256 of a real key is so short.
  return { topic, hash: Buffer.from(inboxId.replaceAll('-', ''), 'hex'), key: null }
}

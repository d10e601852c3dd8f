import type { GroupMember } from '../../core/broker/assignment.ts'
import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { byTopic } from './by-topic.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'

/** Our way to share partitions out, by the name that members of a group agree on; see `core/broker/assignment.ts`. */
export const ASSIGNER_NAME = 'trunkline'
/** What other clients bring; together with them a group uses this one, and whoever leads it shares out. */
export const ROUND_ROBIN_NAME = 'RoundRobinAssigner'
const VERSION = 1
/** What a member tells of itself is at most as large as its subscriptions and partitions. */
const USER_DATA_BYTES_MAX = 1024 * 1024
const EMPTY = Buffer.alloc(0)

/**
 * What a member tells of itself when it joins: the topics that it reads, and as user data the partitions that it had,
 * in the form of an assignment, so that few of them move. The same bytes as our kafkajs driver writes: both can be
 * members of one group.
 *
 * @see https://kafka.apache.org/documentation/#consumerprotocol
 */
export function encodeSubscription(topics: readonly string[], owned: readonly TopicPartition[]): Buffer {
  const writer = new ByteWriter().int16(VERSION)
  writer.list(topics, (topic) => writer.text(topic))
  return writer.sized(encodeAssignment(owned)).bytes()
}

/** A member that tells nothing readable of itself subscribes to nothing: the others must not wait for it. */
export function decodeSubscription(id: string, bytes: Buffer): GroupMember {
  try {
    const reader = new ByteReader(bytes)
    reader.skip(2) // version
    const topics = listOf(reader, () => reader.text())
    return { id, topics, owned: ownedIn(reader) }
  } catch {
    return { id, topics: [], owned: [] }
  }
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = new ByteWriter().int16(VERSION)
  writer.list([...byTopic(partitions)], ([topic, ofTopic]) => {
    writer.text(topic).list(ofTopic, ({ partition }) => writer.int32(partition))
  })
  return writer.sized(EMPTY).bytes()
}

/** @throws PermanentError the bytes are no assignment */
export function decodeAssignment(bytes: Buffer): TopicPartition[] {
  // Who is assigned nothing may be sent nothing.
  if (bytes.length === 0) return []
  const reader = new ByteReader(bytes)
  reader.skip(2) // version
  return listOf(reader, () => {
    const topic = reader.text()
    return listOf(reader, () => ({ topic, partition: reader.int32() }))
  }).flat()
}

/** Members of other kinds put something else there, or nothing; it only costs a move. */
function ownedIn(reader: ByteReader): TopicPartition[] {
  try {
    const length = reader.int32()
    if (length <= 0 || length > USER_DATA_BYTES_MAX) return []
    const start = reader.skip(length)
    return decodeAssignment(reader.bytes.subarray(start, start + length))
  } catch {
    return []
  }
}

function listOf<Item>(reader: ByteReader, read: () => Item): Item[] {
  const items: Item[] = []
  for (let left = reader.int32(); left > 0; left--) items.push(read())
  return items
}

import type { AppendOutcome, TopicPartition } from '../../core/broker/log-producer.ts'
import {
  isTrunklineError,
  messageOf,
  PermanentError,
  StuckError,
  TransientError,
  type TrunklineError,
  UnknownOutcomeError,
} from '../../foundation/errors.ts'

/** Error codes of the Kafka protocol. @see https://kafka.apache.org/protocol#protocol_error_codes */
const scopes = new Map<number, 'record' | 'topic' | 'cluster'>([
  [2, 'cluster'], // CORRUPT_MESSAGE: damaged on its way
  [3, 'topic'], // UNKNOWN_TOPIC_OR_PARTITION
  [5, 'cluster'], // LEADER_NOT_AVAILABLE
  [6, 'cluster'], // NOT_LEADER_OR_FOLLOWER
  [8, 'cluster'], // BROKER_NOT_AVAILABLE
  [9, 'cluster'], // REPLICA_NOT_AVAILABLE
  [10, 'record'], // MESSAGE_TOO_LARGE
  [17, 'topic'], // INVALID_TOPIC_EXCEPTION
  [18, 'record'], // RECORD_LIST_TOO_LARGE
  [19, 'cluster'], // NOT_ENOUGH_REPLICAS: refused before the append
  [29, 'topic'], // TOPIC_AUTHORIZATION_FAILED
  [31, 'cluster'], // CLUSTER_AUTHORIZATION_FAILED
  [32, 'record'], // INVALID_TIMESTAMP
  [43, 'topic'], // UNSUPPORTED_FOR_MESSAGE_FORMAT
  [44, 'record'], // POLICY_VIOLATION
  [74, 'cluster'], // FENCED_LEADER_EPOCH
  [75, 'cluster'], // UNKNOWN_LEADER_EPOCH
  [87, 'record'], // INVALID_RECORD
])

const advice = {
  record: 'The same bytes are refused again; make the message smaller, or raise the limits of the topic.',
  topic: 'Create the topic or permit this service to write to it; its messages wait meanwhile.',
  cluster: 'The batch is sent again when the cluster has recovered.',
} as const

/** Codes after which the leaders of a topic must be asked for again. */
export function isStaleLeader(errorCode: number): boolean {
  return [3, 5, 6, 8, 9, 74, 75].includes(errorCode)
}

/** What a broker's error code for a produced batch means. Whatever is not known to leave nothing behind is unknown. */
export function outcomeOfCode(target: TopicPartition, errorCode: number, error: Error): AppendOutcome {
  const details = { topic: target.topic, partition: target.partition, errorCode }
  const scope = scopes.get(errorCode)
  if (scope === undefined) return unknownAppend(target, error)
  const message = `Kafka refused a batch for ${nameOf(target)}: ${sentenceOf(error)} ${advice[scope]}`
  const reason =
    scope === 'record'
      ? new PermanentError('APPEND_REFUSED', message, details, error)
      : new TransientError('APPEND_REFUSED', message, details, error)
  return { status: 'refused', scope, reason }
}

export function batchTooLarge(target: TopicPartition, bytes: number, bytesMax: number): PermanentError {
  return new PermanentError(
    'APPEND_REFUSED',
    `A batch for ${nameOf(target)} has ${bytes} bytes, more than the ${bytesMax} that the topic takes (max.message.bytes). ` +
      'Make the message smaller, or raise the limit of the topic.',
    { topic: target.topic, partition: target.partition, bytes, bytesMax },
  )
}

/** Whether the broker takes no batch so large. */
export function isTooLarge(errorCode: number): boolean {
  return errorCode === 10 || errorCode === 18
}

export function unknownAppend(target: TopicPartition, cause: unknown): AppendOutcome {
  return {
    status: 'unknown',
    reason: new UnknownOutcomeError(
      'APPEND_UNKNOWN',
      `It is not known whether a batch for ${nameOf(target)} reached the log: ${sentenceOf(cause)} Send the same batch again before any other.`,
      { topic: target.topic, partition: target.partition },
      cause,
    ),
  }
}

/** A refusal of something that was never sent. */
export function refusedBeforeSend(reason: TrunklineError): AppendOutcome {
  return { status: 'refused', scope: isTrunklineError(reason, 'TOPIC_MISSING') ? 'topic' : 'cluster', reason }
}

export function topicMissing(topic: string, cause?: unknown): StuckError {
  return new StuckError(
    'TOPIC_MISSING',
    `Topic "${topic}" does not exist, or this service may not see it. Create it ("trunkline dev" does so for the topics of your contracts), or correct the contract's topic.`,
    { topic },
    cause,
  )
}

export function partitionMissing(target: TopicPartition, partitions: number): StuckError {
  return new StuckError(
    'TOPIC_MISSING',
    `Topic "${target.topic}" has ${partitions} partitions, and partition ${target.partition} is not one of them. Was the topic created again with fewer?`,
    { topic: target.topic, partition: target.partition, partitions },
  )
}

/** A batch that came damaged too often. */
export function checksumWrong({ topic, partition }: TopicPartition, offset: bigint): StuckError {
  return new StuckError(
    'KAFKA_CHECKSUM_WRONG',
    `Partition ${topic}/${partition} is not read beyond offset ${offset}: the batch there has a wrong checksum each time that it is fetched, over new connections too. ` +
      'Look at the disk of the broker that leads the partition; when another replica leads it, reading goes on by itself.',
    { topic, partition, offset },
  )
}

/** Clients' messages end without a full stop, ours with one. */
export function sentenceOf(error: unknown): string {
  return `${messageOf(error).replace(/\.+$/, '')}.`
}

function nameOf(target: TopicPartition): string {
  return `${target.topic}/${target.partition}`
}

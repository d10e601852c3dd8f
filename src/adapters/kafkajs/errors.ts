import { ConfigurationError, isTrunklineError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { sentenceOf } from '../wire/protocol-errors.ts'
import { protocolMismatch } from '../wire/protocol-mismatch.ts'

/** Turns whatever kafkajs throws into the class that says how to react. */
export function mapError(error: unknown, addresses: readonly string[]): TrunklineError {
  if (isTrunklineError(error)) return error
  const root = rootOf(error)
  const where = addresses.join(', ')
  const type = textOf(root, 'type') ?? ''
  const name = textOf(root, 'name') ?? ''
  if (/SASL|AUTHENTICATION|AUTHORIZATION/i.test(`${type} ${name}`)) {
    return new ConfigurationError(
      'KAFKA_ACCESS',
      `Kafka at ${where} does not let this service in: ${sentenceOf(root)} Check the credentials and what they permit.`,
      { addresses, type },
      error,
    )
  }
  const mismatch = protocolMismatch(`${textOf(root, 'code') ?? ''} ${messageOf(root)}`)
  if (mismatch !== undefined) {
    return new ConfigurationError('KAFKA_PROTOCOL', `Kafka at ${where} cannot be talked to: ${mismatch}`, { addresses }, error)
  }
  if (name.startsWith('KafkaJSConnection') || textOf(root, 'code') === 'ECONNREFUSED' || name === 'KafkaJSRequestTimeoutError') {
    return new TransientError(
      'BROKER_UNREACHABLE',
      `No Kafka broker answers at ${where}: ${sentenceOf(root)} Check the addresses, that Kafka runs, and whether the port wants TLS or a login.`,
      { addresses },
      error,
    )
  }
  return new TransientError('KAFKA_FAILED', `Kafka at ${where}: ${sentenceOf(root)} It can be tried again.`, { addresses, type }, error)
}

export function isUnknownTopic(error: unknown): boolean {
  const type = textOf(rootOf(error), 'type')
  return type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'INVALID_TOPIC_EXCEPTION' || type === 'TOPIC_AUTHORIZATION_FAILED'
}

/** Whether a broker answered, with an error: nothing is wrong with the connection. */
export function isAnswer(error: unknown): boolean {
  return isTrunklineError(error)
    ? ['TOPIC_MISSING', 'LEADER_MISSING', 'TOPIC_SETTINGS_REFUSED', 'TOPIC_PARTITIONS_REFUSED'].includes(error.code)
    : textOf(rootOf(error), 'type') !== undefined
}

/** What Kafka said when it refused to make or change a topic so; `undefined` when it was something else. */
export function refusalOf(error: unknown): unknown {
  const errors: unknown = error instanceof Error ? Reflect.get(error, 'errors') : undefined
  const root = Array.isArray(errors) ? errors[0] : rootOf(error)
  const refusals = ['INVALID_CONFIG', 'INVALID_REQUEST', 'POLICY_VIOLATION', 'INVALID_PARTITIONS', 'INVALID_REPLICATION_FACTOR']
  return refusals.includes(textOf(root, 'type') ?? '') ? root : undefined
}

export function isTopicExisting(error: unknown): boolean {
  return textOf(rootOf(error), 'type') === 'TOPIC_ALREADY_EXISTS'
}

/** kafkajs wraps what happened in errors about its retries. */
function rootOf(error: unknown): unknown {
  let root = error
  for (let depth = 0; depth < 5 && root instanceof Error && root.cause instanceof Error; depth++) root = root.cause
  return root
}

function textOf(error: unknown, field: 'type' | 'name' | 'code'): string | undefined {
  if (!(error instanceof Error)) return undefined
  const value: unknown = Reflect.get(error, field)
  return typeof value === 'string' ? value : undefined
}

import { ConfigurationError, isTrunklineError, messageOf, TransientError, type TrunklineError } from '../../foundation/errors.ts'
import { sentenceOf } from '../wire/protocol-errors.ts'

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
  const mismatch = protocolMismatch(root)
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
  return new TransientError('KAFKA_FAILED', `Kafka at ${where}: ${sentenceOf(root)} It is tried again.`, { addresses, type }, error)
}

/** What the two sides of a connection do not agree about, and what to do; the words are OpenSSL's, Node's and those of `overrides/replies-across-connections.ts`. */
function protocolMismatch(root: unknown): string | undefined {
  const text = `${textOf(root, 'code') ?? ''} ${messageOf(root)}`
  if (/it speaks TLS/.test(text))
    return 'the port speaks TLS and this service does not. Set kafka.ssl, or take the address of a plaintext port.'
  if (/before secure TLS connection|WRONG_VERSION_NUMBER|wrong version number/i.test(text))
    return 'this service speaks TLS and the other side does not. Is this port TLS? Take the address of a TLS port, or leave kafka.ssl out.'
  if (/it speaks HTTP/.test(text)) return 'the port speaks HTTP. Take the address of a Kafka broker.'
  if (/does not speak the protocol/.test(text))
    return 'what answers there does not speak the protocol of Kafka. Take the address of a broker.'
  if (/CERTIFICATE_REQUIRED|certificate required|bad certificate|handshake failure/i.test(text))
    return `the broker wants a certificate of this service that it trusts (${messageOf(root)}). Set kafka.ssl.cert and kafka.ssl.key.`
  if (/SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|CERT_HAS_EXPIRED|self.signed|unable to verify|altnames/i.test(text))
    return `this service does not trust the broker's certificate (${messageOf(root)}). Set kafka.ssl.ca to the certificate of its authority, and use a name that the certificate holds.`
  return undefined
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

import { ConfigurationError } from '../../foundation/errors.ts'
import { sentenceOf } from './protocol-errors.ts'

export function settingsRefused(topic: string, names: readonly string[], cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'TOPIC_SETTINGS_REFUSED',
    `Kafka does not take the settings ${names.join(', ')} for topic "${topic}": ${sentenceOf(cause)} None was changed. Correct them, or permit this user to alter the topic's configuration.`,
    { topic, names },
    cause,
  )
}

export function partitionsRefused(topic: string, partitions: number, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'TOPIC_PARTITIONS_REFUSED',
    `Kafka does not give topic "${topic}" ${partitions} partitions: ${sentenceOf(cause)} Their number can only grow.`,
    { topic, partitions },
    cause,
  )
}

import { ContractError } from '../../foundation/errors.ts'
import { bucketOf, positiveHash } from '../broker/partitioner.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { packEnvelope } from '../envelope/packed-envelope.ts'
import type { OutboxRow } from './outbox-store.ts'

/** The broker's own limit is 1 MiB for a batch with its overhead; what is larger is refused before COMMIT. */
export const MESSAGE_BYTES_MAX = 900 * 1024
export const KEY_BYTES_MAX = 1024
/** The envelope as it is stored. @throws ContractError `KEY_TOO_LARGE`, `MESSAGE_TOO_LARGE`, `ENVELOPE_INVALID`: before COMMIT, because Kafka would refuse it after */
export function toOutboxRow(envelope: Envelope, topic: string, key: string | null): OutboxRow {
  const keyBytes = key === null ? null : Buffer.from(key)
  const headers = packEnvelope(envelope)
  refuseSize(envelope, keyBytes, headers.length)
  const routing = keyBytes ?? Buffer.from(envelope.id)
  return {
    id: envelope.id,
    topic,
    key: keyBytes,
    value: envelope.data,
    headers,
    keyHash: positiveHash(routing),
    bucket: bucketOf(topic, routing),
  }
}

function refuseSize(envelope: Envelope, key: Buffer | null, headerBytes: number): void {
  if (key !== null && key.length > KEY_BYTES_MAX) {
    throw new ContractError(
      'KEY_TOO_LARGE',
      `${envelope.type} was not published: its key has ${key.length} bytes, at most ${KEY_BYTES_MAX} are allowed. Use an id as key and carry the rest in a field.`,
      { type: envelope.type, bytes: key.length },
    )
  }
  const bytes = (envelope.data?.length ?? 0) + (key?.length ?? 0) + headerBytes
  if (bytes <= MESSAGE_BYTES_MAX) return
  throw new ContractError(
    'MESSAGE_TOO_LARGE',
    `${envelope.type} was not published: it has ${bytes} bytes, at most ${MESSAGE_BYTES_MAX} are allowed. Store the content elsewhere and publish a reference to it.`,
    { type: envelope.type, bytes },
  )
}

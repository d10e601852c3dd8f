import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import type { WriterSchema } from '../contract/registry.ts'
import type { Envelope } from '../envelope/envelope.ts'
import { schemaIdIn } from '../envelope/framing.ts'
import { checkEnvelope, timeOf } from '../envelope/rules.ts'

/**
 * Whether a record is one of a producer that knows a schema registry but no CloudEvents: the schema of its value
 * is all that says what it is.
 */
export function isBare({ headers, value }: ConsumedRecord): boolean {
  return schemaIdIn(value) !== undefined && !headers.some(([name]) => name.startsWith('ce_') || name === 'content-type')
}

/**
 * The envelope that such a record would have had.
 *
 * Its type is the record name of its schema, its source `/topics/<topic>`, its id where it stands
 * (`<topic>/<partition>/<offset>`), its time the record's own.
 */
export function bareEnvelope(record: ConsumedRecord, place: TopicPartition, writer: WriterSchema): Envelope {
  const id = placeName(place, record.offset)
  const envelope: Envelope = {
    specversion: '1.0',
    id,
    source: `/topics/${place.topic}`,
    type: writer.name,
    time: timeOf(undefined, record.timestampMs),
    datacontenttype: 'application/avro',
    subject: null,
    correlationid: id,
    causationid: null,
    traceparent: null,
    tracestate: null,
    partitionkey: null,
    extensions: {},
    data: record.value,
  }
  checkEnvelope(envelope)
  return envelope
}

export function placeName(place: TopicPartition, offset: bigint): string {
  return `${place.topic}/${place.partition}/${offset}`
}

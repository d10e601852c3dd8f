// Generated from schemas/envelope/EventEnvelope.avsc; do not edit.
import type { AvroSchema } from '../contract/avro.ts'

export const EventEnvelope: AvroSchema = {
  type: 'record',
  name: 'trunkline.EventEnvelope',
  fields: [
    { name: 'specversion', type: 'string', default: '1.0' },
    { name: 'id', type: 'string' },
    { name: 'source', type: 'string' },
    { name: 'type', type: 'string' },
    { name: 'time', type: 'string' },
    { name: 'datacontenttype', type: 'string', default: 'application/avro' },
    { name: 'subject', type: ['null', 'string'], default: null },
    { name: 'correlationid', type: 'string' },
    { name: 'causationid', type: ['null', 'string'], default: null },
    { name: 'traceparent', type: ['null', 'string'], default: null },
    { name: 'tracestate', type: ['null', 'string'], default: null },
    { name: 'partitionkey', type: ['null', 'string'], default: null },
    { name: 'extensions', type: { type: 'map', values: 'string' }, default: {} },
    { name: 'data', type: ['null', 'bytes'], default: null },
  ],
}

import type { LogRecord } from '../src/core/broker/log-producer.ts'
import { encodePayload } from '../src/core/contract/codec.ts'
import { type ContractDefinition, typeOf } from '../src/core/contract/contract.ts'
import { toHeaders } from '../src/core/envelope/headers.ts'
import { newMessageId } from '../src/foundation/ids.ts'

/** An event as a relay would have written it, six headers and more. @param dataOf makes its data; the id is its key too */
export function writtenRecord(definition: ContractDefinition, dataOf: (id: string) => unknown): LogRecord {
  const id = newMessageId()
  const data = encodePayload(definition, dataOf(id))
  const headers = toHeaders({
    specversion: '1.0',
    id,
    source: '/bench',
    type: typeOf(definition.name, definition.version),
    time: new Date().toISOString(),
    datacontenttype: 'application/avro',
    subject: id,
    correlationid: id,
    causationid: null,
    traceparent: null,
    tracestate: null,
    partitionkey: null,
    extensions: {},
    data,
  })
  return { key: Buffer.from(id), value: data, headers, timestampMs: Date.now() }
}

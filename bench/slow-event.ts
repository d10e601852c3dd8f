import type { LogRecord } from '../src/core/broker/log-producer.ts'
import { encodePayload, fingerprintOf } from '../src/core/contract/codec.ts'
import { type Contract, type ContractDefinition, contract } from '../src/core/contract/contract.ts'
import { toHeaders } from '../src/core/envelope/headers.ts'
import { newMessageId } from '../src/foundation/ids.ts'

interface Data {
  readonly orderId: string
  readonly padding: string
}

/** A small event on a topic of the measurement's own. */
export function slowEventOn(topic: string): Contract<{ kind: 'event'; name: 'bench.Slow'; input: Data; data: Data; reply: void }> {
  const fields = ['orderId', 'padding'].map((name) => ({ name, type: 'string' }))
  const schema = { type: 'record', name: 'bench.Slow', fields }
  const versions = [{ version: 1, fingerprint: fingerprintOf(schema), schema }]
  return contract({ kind: 'event', name: 'bench.Slow', version: 1, topic, key: 'orderId', replies: [], versions })
}

const padding = 'x'.repeat(200)

/** One of them as a relay would have written it, with an id and a key of its own. */
export function slowRecord(definition: ContractDefinition): LogRecord {
  const id = newMessageId()
  const data = encodePayload(definition, { orderId: id, padding })
  const headers = toHeaders({
    specversion: '1.0',
    id,
    source: '/bench',
    type: 'bench.Slow.v1',
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

import { randomUUID } from 'node:crypto'
import { keyOf } from '../../../src/core/consume/parking.ts'
import type { ParkedMessage } from '../../../src/core/consume/parking-store.ts'
import { encodePayload } from '../../../src/core/contract/codec.ts'
import { toHeaders } from '../../../src/core/envelope/headers.ts'
import { reasonFor } from '../../../src/core/failures/reason.ts'
import { inboxId } from '../../../src/foundation/ids.ts'
import { countedOn } from '../../kit/contracts.ts'

const Counted = countedOn('t')
let offset = 0n

/** A counted message that a group has set aside; it stands on no topic. */
export function countedMessage(
  group: string,
  key: string | null,
  version: number,
  given: Partial<ParkedMessage> & { note?: string } = {},
): ParkedMessage {
  const { note = '', ...rest } = given
  const id = randomUUID()
  const data = encodePayload(Counted.definition, { key: key ?? '', version, note })
  const headers = toHeaders({
    specversion: '1.0',
    id,
    source: '/judge',
    type: 'test.Counted.v1',
    time: new Date().toISOString(),
    datacontenttype: 'application/avro',
    subject: null,
    correlationid: id,
    causationid: null,
    traceparent: null,
    tracestate: null,
    partitionkey: null,
    extensions: {},
    data,
  })
  const place = { topic: 't', partition: 0 }
  const record = { offset: offset++, key: key === null ? null : Buffer.from(key), value: data, headers, timestampMs: Date.now() }
  const inbox = inboxId('/judge', id)
  return {
    group,
    inboxId: inbox,
    type: 'test.Counted.v1',
    name: 'test.Counted',
    key: keyOf(place, record, inbox),
    queued: true,
    state: 'waiting',
    attempts: 1,
    delayMs: 0,
    reason: reasonFor('HANDLER_FAILED', 'no', 'test.Counted'),
    place,
    record,
    ...rest,
  }
}

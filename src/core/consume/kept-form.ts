import type { ConsumedRecord } from '../broker/log-consumer.ts'
import type { Incident } from '../incident.ts'
import { placeOf } from './effect.ts'
import type { ParkedMessage } from './parking-store.ts'
import type { GroupPartition } from './position-store.ts'

/** How much of a message is kept. */
export interface KeptForm {
  readonly whole: boolean
  readonly of: (message: ParkedMessage) => ParkedMessage
}

/**
 * The most first. Key, value and coordinates are never given up.
 *
 * What a message looks like must never decide whether it can be kept: its partition would stand still for ever. So
 * whatever the database refuses for a reason that nobody foresaw is kept again, with less of it, and an incident says so.
 */
export const keptForms: readonly [KeptForm, ...KeptForm[]] = [
  { whole: true, of: (message) => message },
  { whole: false, of: (message) => ({ ...message, reason: withoutText(message) }) },
  { whole: false, of: (message) => ({ ...message, reason: withoutText(message), record: bareRecord(message.record) }) },
]

function withoutText({ reason }: ParkedMessage): ParkedMessage['reason'] {
  return { ...reason, text: '' }
}

/** Part by part: of a record that reads them from its bytes, a copy by spread has none. */
function bareRecord({ offset, key, value, unreadable }: ConsumedRecord): ConsumedRecord {
  return { offset, key, value, headers: [], timestampMs: 0, ...(unreadable === undefined ? {} : { unreadable }) }
}

export function keptInPart(held: GroupPartition, record: ConsumedRecord): Incident {
  return {
    kind: 'kept_in_part',
    subject: `${held.group} ${held.topic}/${held.partition}`,
    message: `The record at ${held.topic}/${held.partition}/${record.offset} could not be kept whole by group "${held.group}": its reason, or its headers and time too, are missing in trunkline.parked_message. The record itself is in the topic as long as retention lets it be.`,
    details: { ...placeOf(held), offset: String(record.offset) },
  }
}

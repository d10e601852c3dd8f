import type { TopicPartition } from '../broker/log-producer.ts'
import type { Incident } from '../incident.ts'

/** What is told of a message that will not be tried again. Codes only: what a handler said stands with the message. */
export interface DeadLetter {
  readonly group: string
  readonly place: TopicPartition
  readonly offset: bigint
  readonly type: string
  readonly id: string
  readonly attempts: number
  readonly code: string
  /** Whether the later messages of its key wait behind it. */
  readonly holdsItsKey: boolean
}

/** The incident of a dead letter: it says what waits, and how to look at it. */
export function deadLetter(dead: DeadLetter): Incident {
  const { group, place, offset, type, id, attempts, code } = dead
  const consequence = dead.holdsItsKey ? 'Later messages of its key wait behind it' : 'Nobody waits for it'
  return {
    kind: 'dead_letter',
    subject: `${group} ${place.topic}/${place.partition}`,
    message: `${type} ${id} is a dead letter of group "${group}" after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} (${code}). ${consequence}; see "trunkline failure list --group ${group}".`,
    details: { id, offset: String(offset), attempts, code },
  }
}

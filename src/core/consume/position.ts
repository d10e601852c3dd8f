import type { LogAdmin } from '../broker/log-admin.ts'
import type { PartitionRange } from '../broker/log-consumer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { IncidentLog } from '../incident.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import type { GroupPartition, Position, PositionStore } from './position-store.ts'

export interface PositionParts<Tx> {
  readonly positions: PositionStore<Tx>
  readonly admin: LogAdmin
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
}

/**
 * Takes a partition over: raises the epoch, so that whoever held it is fenced, and says where to go on.
 *
 * A position outside of what the log holds is never skipped silently: it becomes an incident with the lost
 * range, and reading goes on from the earliest record. The inbox absorbs what was applied before.
 */
export async function takePartition<Tx>(parts: PositionParts<Tx>, place: GroupPartition, range: PartitionRange): Promise<HeldPartition> {
  const position = await parts.positions.take(place, { offset: range.earliest, topicId: range.topicId })
  // Whoever held it may have gone on since the range was read; from now on it cannot.
  const current = position.nextOffset > range.latest ? await parts.admin.rangeOf(place) : range
  const next = await withinLog(parts, place, position, current)
  parts.diagnostics.emit('consumer.assigned', { ...placeOf(place), position: next })
  return { ...placeOf(place), epoch: position.epoch, next }
}

async function withinLog<Tx>(parts: PositionParts<Tx>, place: GroupPartition, position: Position, range: PartitionRange): Promise<bigint> {
  const { nextOffset, topicId } = position
  const subject = `${place.group} ${place.topic}/${place.partition}`
  const details = { position: String(nextOffset), earliest: String(range.earliest), latest: String(range.latest) }
  if (topicId !== null && range.topicId !== null && topicId !== range.topicId) {
    const message = `Topic "${place.topic}" was deleted and made anew. Group "${place.group}" reads it from its first record.`
    await parts.incidents.record({ kind: 'topic_recreated', subject, message, details })
  } else if (nextOffset < range.earliest) {
    const message = `Retention removed offsets ${nextOffset} to ${range.earliest - 1n} of ${place.topic}/${place.partition} before group "${place.group}" read them. It goes on at ${range.earliest}.`
    await parts.incidents.record({ kind: 'position_below_log_start', subject, message, details })
  } else if (nextOffset > range.latest) {
    const message = `Group "${place.group}" stands at offset ${nextOffset} of ${place.topic}/${place.partition}, but the log ends at ${range.latest}: records were lost or the topic was made anew. It reads again from ${range.earliest}.`
    await parts.incidents.record({ kind: 'position_above_log_end', subject, message, details })
  } else {
    return nextOffset
  }
  await parts.positions.reset(place, position.epoch, { offset: range.earliest, topicId: range.topicId })
  return range.earliest
}

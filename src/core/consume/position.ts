import { StuckError } from '../../foundation/errors.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type { PartitionRange } from '../broker/log-consumer.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { IncidentKind, IncidentLog } from '../incident.ts'
import { placeOf } from './effect.ts'
import type { GroupPartition, Position, PositionStore } from './position-store.ts'

export interface PositionParts<Tx> {
  readonly positions: PositionStore<Tx>
  readonly admin: LogAdmin
  readonly incidents: IncidentLog
  readonly diagnostics: BackboneDiagnostics
}

/** What a group wants where its position cannot say. */
export interface StartPolicy {
  /** Where a group begins that has never read the partition. */
  readonly from: 'earliest' | 'latest'
  /** What to do when records are gone that the group has not read. */
  readonly onGap: 'earliest' | 'stop'
  /** Gaps that were told of and still stand. */
  readonly told: Set<string>
}

/** Partitions of one consumer that stopped; with more of them the later ones are told of again and again. */
const TOLD_MAX = 10_000

/**
 * Takes a partition over: raises the epoch, so that whoever held it is fenced, and says where to go on.
 *
 * A position outside of what the log holds is never skipped silently: it becomes an incident with the lost range, and
 * the policy decides whether reading goes on from the earliest record. The inbox absorbs what was applied before.
 *
 * @throws StuckError `POSITION_LOST` the policy is to stop; the position is as it was
 */
export async function takePartition<Tx>(
  parts: PositionParts<Tx>,
  place: GroupPartition,
  range: PartitionRange,
  policy: StartPolicy,
): Promise<Position> {
  // Resolved to a number and stored: "latest" is where the group was first seen, however often it is asked again.
  const offset = policy.from === 'latest' ? range.latest : range.earliest
  const position = await parts.positions.take(place, { offset, topicId: range.topicId })
  // Whoever held it may have gone on since the range was read; from now on it cannot.
  const current = position.nextOffset > range.latest ? await parts.admin.rangeOf(place) : range
  const next = await withinLog(parts, place, position, current, policy)
  parts.diagnostics.emit('consumer.assigned', { ...placeOf(place), position: next })
  // What was begun before a gap is gone with it.
  return next === position.nextOffset ? position : { ...position, nextOffset: next, started: null, suspectTo: null }
}

async function withinLog<Tx>(
  parts: PositionParts<Tx>,
  place: GroupPartition,
  position: Position,
  range: PartitionRange,
  policy: StartPolicy,
): Promise<bigint> {
  const gap = gapOf(place, position, range)
  if (gap === undefined) return position.nextOffset
  const stops = policy.onGap === 'stop'
  const goesOn = stops ? 'It stops here, as its policy says' : `It goes on at ${range.earliest}`
  const message = `${gap.what} ${goesOn}.`
  const details = { position: String(position.nextOffset), earliest: String(range.earliest), latest: String(range.latest) }
  const subject = `${place.group} ${place.topic}/${place.partition}`
  // A partition that stops is asked for again and again; people hear of it once.
  const name = `${subject} ${gap.kind} ${position.nextOffset}`
  if (!policy.told.has(name)) await parts.incidents.record({ kind: gap.kind, subject, message, details })
  if (stops && policy.told.size < TOLD_MAX) policy.told.add(name)
  if (stops) throw positionLost(place, message)
  await parts.positions.reset(place, position.epoch, { offset: range.earliest, topicId: range.topicId })
  return range.earliest
}

interface Gap {
  readonly kind: IncidentKind
  readonly what: string
}

/** @returns what is missing between the group and the log; `undefined` when nothing is */
function gapOf(place: GroupPartition, { nextOffset, topicId }: Position, range: PartitionRange): Gap | undefined {
  const { group, topic, partition } = place
  if (topicId !== null && range.topicId !== null && topicId !== range.topicId) {
    const what = `Topic "${topic}" was deleted and made anew after group "${group}" had read it to offset ${nextOffset}.`
    return { kind: 'topic_recreated', what }
  }
  if (nextOffset < range.earliest) {
    const what = `Retention removed offsets ${nextOffset} to ${range.earliest - 1n} of ${topic}/${partition} before group "${group}" read them.`
    return { kind: 'position_below_log_start', what }
  }
  if (nextOffset > range.latest) {
    const what = `Group "${group}" stands at offset ${nextOffset} of ${topic}/${partition}, but the log ends at ${range.latest}: records were lost or the topic was made anew.`
    return { kind: 'position_above_log_end', what }
  }
  return undefined
}

function positionLost(place: GroupPartition, message: string): StuckError {
  return new StuckError(
    'POSITION_LOST',
    `${message} To go on, decide what became of those records, then set next_offset of the partition in trunkline.consumer_position; it is read again within seconds.`,
    placeOf(place),
  )
}

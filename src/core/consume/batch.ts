import type { Queryable } from '../database/database.ts'
import { type EffectParts, type HeldPartition, placeOf, positionFenced } from './effect.ts'
import { keptInPart } from './kept-form.ts'
import type { BatchRecord } from './lanes.ts'
import { keysIn } from './lanes.ts'
import type { ParkedMessage } from './parking-store.ts'
import { type BatchFacts, type BatchPlan, passedOver, planBatch } from './plan.ts'
import { isCharged, reactionTo } from './retry.ts'
import { runMessages } from './run-messages.ts'
import { type ClaimedBatch, runInSegments } from './segments.ts'
import { type Kept, nameOf, subjectOf } from './set-aside.ts'
import type { Trial } from './trial.ts'

/** Names that were passed over and told of; more of them are a fault of another kind. */
const NAMES_TOLD_MAX = 1_000

/**
 * One effect transaction for a batch of one partition:
 * fence → claim → parked keys → set aside → handlers → outgoing → COMMIT.
 *
 * It may be run again, whole or in part: whatever happens before COMMIT is undone by a rollback.
 *
 * @throws ConflictError `POSITION_FENCED`: the partition is somebody else's now; nothing was changed
 * @throws whatever a handler threw; `trial` says whose it was. Nothing was changed
 */
export async function applyBatch<Tx extends object>(
  parts: EffectParts<Tx>,
  held: HeldPartition,
  records: readonly BatchRecord<Tx>[],
  trial: Trial<Tx>,
): Promise<void> {
  const { diagnostics, publisher, share } = parts
  const to = (records.at(-1)?.record.offset ?? held.next) + 1n
  const about = { ...placeOf(held), offset: records[0]?.record.offset ?? held.next, messages: records.length }
  let noted: Promise<unknown> | undefined
  const ahead = (alone: Queryable): Promise<unknown> => {
    noted = note(parts, held, trial, alone)
    return noted
  }
  const work = async (tx: Tx): Promise<{ tx: Tx; plan: BatchPlan<Tx> }> => {
    diagnostics.emit('batch.began', about)
    const [facts] = await allDone([claim(parts, tx, held, records, trial, to), noted ?? Promise.resolve()])
    diagnostics.emit('batch.claimed', about)
    const planned = planBatch(held, records, facts)
    await setAside(parts, tx, planned.kept, trial)
    await tellOfNames(parts, tx, held, planned)
    const plan = await run(parts, tx, held, { records, facts, plan: planned }, trial)
    diagnostics.emit('batch.committing', about)
    return { tx, plan }
  }
  const { tx, plan } = await share.use(subjectOf(held), () => publisher.transaction(work, { rerunsWhenUnknown: true, ahead }))
  if (trial.mode === 'batch') held.next = to
  diagnostics.emit('batch.committed', about)
  for (const each of [tx, ...trial.txs]) parts.incidents.announce(each)
  tell(parts, held, plan)
  if (plan.kept.some(({ message }) => runsAtOnce(message))) parts.onParked()
  // After the commit, because it may be the incident that was refused; the kept row is there in any case.
  if (!trial.form.whole) await tellOfForm(parts, held, plan.kept)
}

/** What has begun is noted before the first handler starts; see `crash-loop.ts`. A fence that has fallen says so by itself. */
async function note<Tx extends object>(
  { positions }: EffectParts<Tx>,
  held: HeldPartition,
  { mark }: Trial<Tx>,
  alone: Queryable,
): Promise<void> {
  if (mark === undefined) return
  await positions.mark(held, held.epoch, mark.started, false, alone)
  mark.isNoted = true
}

/**
 * Fence, claim, and the look for parked keys leave in one round trip. Their order is what counts: the look must not
 * share the claim's snapshot, or a key that was parked in between would be missed and overtaken.
 */
async function claim<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  records: readonly BatchRecord<Tx>[],
  trial: Trial<Tx>,
  to: bigint,
): Promise<BatchFacts<Tx>> {
  const fence =
    trial.mode === 'batch' ? parts.positions.advance(tx, held, held.epoch, held.next, to) : parts.positions.holds(tx, held, held.epoch)
  const unhandled = new Set(records.flatMap(({ routed }) => (routed.kind === 'unhandled' ? [routed.name] : [])))
  const elsewhere =
    unhandled.size === 0 ? nobody : (await allDone([fence, parts.parking.handledByGroup(tx, held.group, [...unhandled])]))[1]
  // What is passed over is not settled: a later build may still want it.
  const claims = records.flatMap(({ routed }) =>
    routed.kind === 'unhandled' && !elsewhere.has(routed.name) ? [] : [{ id: routed.inboxId, slot: routed.slot }],
  )
  const [holds, fresh, parked] = await allDone([
    fence,
    parts.inbox.claim(tx, held.group, claims),
    parts.parking.lockParked(tx, held, keysIn(records)),
  ])
  if (!holds) throw positionFenced(held)
  return { fresh, parked, elsewhere, failed: trial.failed }
}

const nobody: ReadonlySet<string> = new Set()

/** Like `Promise.all`, but no statement is left running when another failed. */
async function allDone<Answers extends readonly Promise<unknown>[]>(
  asked: readonly [...Answers],
): Promise<{ -readonly [Index in keyof Answers]: Awaited<Answers[Index]> }> {
  await Promise.allSettled(asked)
  return Promise.all(asked)
}

/** Before the first handler: whatever locks a parked key comes before whatever locks the user's rows. See `segments.ts`. */
async function setAside<Tx extends object>(parts: EffectParts<Tx>, tx: Tx, kept: readonly Kept<Tx>[], trial: Trial<Tx>): Promise<void> {
  if (kept.length === 0) return
  const incidents = trial.form.whole ? kept.flatMap(({ incident }) => incident ?? []) : []
  try {
    await allDone([
      parts.parking.park(
        tx,
        kept.map(({ message }) => trial.form.of(message)),
      ),
      ...incidents.map((incident) => parts.incidents.recordIn(tx, incident)),
    ])
  } catch (error) {
    // Neither the infrastructure nor another transaction: the same data would be refused again.
    trial.refused = isCharged(reactionTo(error, true))
    throw error
  }
}

function runsAtOnce({ state, attempts, delayMs }: ParkedMessage): boolean {
  return state === 'waiting' && attempts > 0 && delayMs === 0
}

/** The first time that a name is passed over, people hear of it. */
async function tellOfNames<Tx extends object>(parts: EffectParts<Tx>, tx: Tx, held: HeldPartition, plan: BatchPlan<Tx>): Promise<void> {
  const names = new Set(plan.passedOver.flatMap(({ routed }) => (routed.kind === 'unhandled' ? [routed.name] : [])))
  const first = [...names].filter((name) => !held.passedOver.has(name) && held.passedOver.size < NAMES_TOLD_MAX)
  for (const name of first) await parts.incidents.recordIn(tx, passedOver(held, name))
}

async function run<Tx extends object>(
  parts: EffectParts<Tx>,
  tx: Tx,
  held: HeldPartition,
  claimed: ClaimedBatch<Tx>,
  trial: Trial<Tx>,
): Promise<BatchPlan<Tx>> {
  if (trial.cautious) return await runInSegments(parts, tx, held, claimed, trial, (kept) => setAside(parts, tx, kept, trial))
  await runMessages(parts, tx, held, claimed.plan.run, trial)
  return claimed.plan
}

/** What became of each record, when it is known to be committed. */
function tell<Tx extends object>(parts: EffectParts<Tx>, held: HeldPartition, plan: BatchPlan<Tx>): void {
  const { diagnostics } = parts
  const place = placeOf(held)
  for (const { record, routed } of plan.run) {
    const { type, id, time } = routed.message
    diagnostics.emit('delivery.applied', { ...place, type, id, offset: record.offset, publishedAt: time.getTime() })
  }
  for (const { of, message } of plan.kept) {
    if (of.routed.kind === 'unreadable') {
      diagnostics.emit('delivery.unreadable', { ...place, offset: of.record.offset, reason: message.reason.code })
    } else {
      const { type, id } = nameOf(of)
      diagnostics.emit('delivery.parked', { group: held.group, type, id, state: message.state, reason: message.reason.code })
    }
  }
  for (const { record } of plan.settled) diagnostics.emit('delivery.duplicate', { ...place, offset: record.offset })
  for (const each of plan.passedOver) {
    if (each.routed.kind === 'unhandled') held.passedOver.add(each.routed.name)
    diagnostics.emit('delivery.skipped', { group: held.group, type: nameOf(each).type, topic: held.topic })
  }
}

async function tellOfForm<Tx extends object>(parts: EffectParts<Tx>, held: HeldPartition, kept: readonly Kept<Tx>[]): Promise<void> {
  for (const { of, incident } of kept) {
    if (incident !== undefined) await parts.incidents.record(incident).catch(() => undefined)
    await parts.incidents.record(keptInPart(held, of.record)).catch(() => undefined)
  }
}

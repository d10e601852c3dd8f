import type { Incident } from '../incident.ts'
import type { HeldPartition } from './effect.ts'
import { type BatchRecord, isMessage, laneOf, type MessageRecord } from './lanes.ts'
import { behindItsKey, type Failure, failed, handledElsewhere, type Kept, schemaUnknown, unreadable } from './set-aside.ts'

/** What the database says about a batch, once it is claimed and its parked keys are locked. */
export interface BatchFacts<Tx> {
  /** The ids that were new. */
  readonly fresh: ReadonlySet<string>
  /** The keys that wait for a retry. */
  readonly parked: readonly Buffer[]
  /** The names that another build of the group handles. */
  readonly elsewhere: ReadonlySet<string>
  /** Messages that were tried and are to be set aside now. */
  readonly failed: ReadonlyMap<BatchRecord<Tx>, Failure>
}

/** What becomes of each record of a batch. */
export interface BatchPlan<Tx> {
  /** To their handlers, in offset order. */
  readonly run: readonly MessageRecord<Tx>[]
  /** Set aside before the first handler runs. */
  readonly kept: readonly Kept<Tx>[]
  /** Applied, kept or discarded before. */
  readonly settled: readonly BatchRecord<Tx>[]
  /** Nobody of the group handles them. */
  readonly passedOver: readonly BatchRecord<Tx>[]
}

/**
 * Decides what becomes of a batch. It is pure: which statements follow, and in which order, is for the transaction.
 *
 * A lane waits from the record on that has to wait; what stands before it in the batch runs.
 */
export function planBatch<Tx>(held: HeldPartition, records: readonly BatchRecord<Tx>[], facts: BatchFacts<Tx>): BatchPlan<Tx> {
  const fresh = new Set(facts.fresh)
  const waiting = new Set(facts.parked.map(laneOf))
  const plan = {
    run: [] as MessageRecord<Tx>[],
    kept: [] as Kept<Tx>[],
    settled: [] as BatchRecord<Tx>[],
    passedOver: [] as BatchRecord<Tx>[],
  }
  for (const each of records) {
    const { routed } = each
    if (routed.kind === 'unhandled' && !facts.elsewhere.has(routed.name)) {
      plan.passedOver.push(each)
    } else if (!fresh.delete(routed.inboxId)) {
      // Settled before, or by an earlier record of this batch: a relay that died sends a message again.
      plan.settled.push(each)
    } else if (waiting.has(each.lane)) {
      plan.kept.push(behindItsKey(held, each, facts.failed.get(each)))
    } else {
      const kept = reasonToKeep(held, each, facts)
      if (kept !== undefined) {
        plan.kept.push(kept)
        if (each.key !== null && kept.message.queued) waiting.add(each.lane)
      } else if (isMessage(each)) {
        plan.run.push(each)
      }
    }
  }
  return plan
}

function reasonToKeep<Tx>(held: HeldPartition, each: BatchRecord<Tx>, facts: BatchFacts<Tx>): Kept<Tx> | undefined {
  const { routed } = each
  switch (routed.kind) {
    case 'unhandled':
      return handledElsewhere(held, each, routed.name)
    case 'unreadable':
      return unreadable(held, each, routed.code, routed.reason)
    case 'unknown schema':
      return schemaUnknown(held, each, routed.reason)
    case 'message': {
      const failure = facts.failed.get(each)
      return failure === undefined ? undefined : failed(held, each, failure)
    }
  }
}

/** The first time that a name is passed over, people hear of it. */
export function passedOver(held: HeldPartition, name: string): Incident {
  return {
    kind: 'type_unhandled',
    subject: `${held.group} ${name}`,
    message: `Group "${held.group}" reads topic "${held.topic}" but has no handler for ${name}; its messages are passed over.`,
    details: { topic: held.topic, name },
  }
}

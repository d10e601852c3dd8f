import type { Diagnostics } from '../foundation/diagnostics.ts'
import type { TrunklineError } from '../foundation/errors.ts'
import type { InboxTended } from './inbox/inbox-store.ts'

/**
 * Everything Trunkline reports about itself: one name, one shape.
 *
 * Logs, metrics, traces and tests read the same records; a failpoint of a test is one of these names.
 */
export interface DiagnosticCatalogue {
  'transaction.committing': { readonly transactionId: string | undefined }
  'transaction.committed': { readonly transactionId: string | undefined }
  'transaction.outcome_unknown': { readonly transactionId: string | undefined }

  'publish.appended': { readonly id: string; readonly topic: string }

  'relay.term_started': { readonly epoch: bigint }
  'relay.term_ended': { readonly epoch: bigint; readonly reason: string }
  'relay.pass': { readonly rows: number; readonly inFlight: number }
  'relay.sending': { readonly topic: string; readonly partition: number; readonly messages: number }
  'relay.acked': { readonly topic: string; readonly partition: number; readonly messages: number }
  'relay.removing': { readonly messages: number }
  /** `slowestMs`: from a message's insert until Kafka had it and its row was gone. */
  'relay.removed': { readonly messages: number; readonly slowestMs: number }
  'relay.unknown': { readonly topic: string; readonly partition: number; readonly reason: string }
  'relay.refused': { readonly topic: string; readonly partition: number; readonly scope: string; readonly reason: string }
  'relay.database_lost': { readonly reason: string }
  /** The database answers, but something must be put right by a person: a privilege, a table, a password. It is tried again. */
  'relay.misconfigured': { readonly reason: string }
  'relay.held': { readonly topic: string; readonly id: string; readonly reason: string }
  'relay.released': { readonly topic: string; readonly id: string; readonly act: 'redrive' | 'discard' }
  'relay.due': { readonly messages: number }
  'relay.overlooked': { readonly id: string; readonly topic: string }
  /** Said by the owner every `relay.report`. What is `undefined` could not be counted in time, or is nothing. */
  'relay.backlog': {
    /** Messages that wait, counted up to 10,000; `pendingAtLeast`: there are more. */
    readonly pending: number | undefined
    readonly pendingAtLeast: boolean
    /** Age of the oldest that waits. */
    readonly oldestMs: number | undefined
    /** Published for later, as the server estimates. */
    readonly scheduled: number | undefined
    readonly heldKeys: number
    /** Numbers above the settled mark: what the next pass looks through. It stays high while a write transaction is open. */
    readonly markLag: bigint
    /** The oldest open write transaction, where the mark lags: its session's process, application and age. */
    readonly heldBackBy: { readonly pid: number; readonly application: string; readonly openMs: number } | undefined
    /** Deleted rows that are not vacuumed, as the server estimates. */
    readonly deadRows: number | undefined
    /** Counts the terms of all owners so far. */
    readonly epoch: bigint
    /** Sent since the last report, and in how many batches. */
    readonly messages: number
    readonly batches: number
    /** From a message's insert until Kafka had it, since the last report; at most a fifth too high. */
    readonly p50Ms: number | undefined
    readonly p99Ms: number | undefined
  }
  /** The database's disk is full; what was to be written is tried again. */
  'relay.no_room': { readonly reason: string }
  'relay.polling_only': { readonly reason: string }

  /** Kafka did not answer when the service started; it starts all the same. */
  'kafka.unheard': { readonly reason: string }

  'producer.replaced': { readonly reason: string }

  'consumer.assigned': { readonly group: string; readonly topic: string; readonly partition: number; readonly position: bigint }
  'consumer.revoked': { readonly group: string; readonly topic: string; readonly partition: number }
  'consumer.fenced': { readonly group: string; readonly topic: string; readonly partition: number; readonly position: bigint }
  'consumer.interrupted': { readonly group: string; readonly topic: string; readonly partition: number; readonly reason: string }
  'consumer.joining': { readonly group: string; readonly reason: string }
  'consumer.restarted': { readonly group: string; readonly reason: string }

  'consumer.suspects': {
    readonly group: string
    readonly topic: string
    readonly partition: number
    readonly from: bigint
    readonly to: bigint
  }
  'consumer.paused': { readonly group: string }
  'consumer.resumed': { readonly group: string }
  'process.heartbeat_missed': { readonly reason: string }
  'process.unwatched': { readonly reason: string }

  'batch.began': BatchPlace
  'batch.claimed': BatchPlace
  'batch.committing': BatchPlace
  'batch.committed': BatchPlace
  'batch.failed': {
    readonly group: string
    readonly topic: string
    readonly partition: number
    readonly messages: number
    readonly reason: string
    readonly next: string
  }

  'delivery.started': { readonly group: string; readonly type: string; readonly id: string; readonly attempt: number }
  'delivery.failed': {
    readonly group: string
    readonly type: string
    readonly id: string
    readonly attempt: number
    readonly reason: string
  }
  'delivery.applied': {
    readonly group: string
    readonly type: string
    readonly id: string
    readonly topic: string
    readonly partition: number
    readonly offset: bigint
    readonly publishedAt: number
  }
  'delivery.duplicate': { readonly group: string; readonly topic: string; readonly partition: number; readonly offset: bigint }
  'delivery.skipped': { readonly group: string; readonly type: string; readonly topic: string }
  'delivery.parked': {
    readonly group: string
    readonly type: string
    readonly id: string
    readonly state: 'waiting' | 'dead'
    readonly reason: string
  }
  'delivery.unreadable': {
    readonly group: string
    readonly topic: string
    readonly partition: number
    readonly offset: bigint
    readonly reason: string
  }
  'retry.leased': { readonly group: string; readonly keys: number }
  'retry.committing': { readonly group: string; readonly type: string; readonly id: string }
  'retry.recording': { readonly group: string; readonly type: string; readonly id: string }
  'retry.draining': { readonly group: string; readonly messages: number }
  'retry.unparking': { readonly group: string; readonly topic: string }
  'retry.unparked': { readonly group: string; readonly topic: string }
  'retry.interrupted': { readonly group: string; readonly reason: string }
  'offset.committing': { readonly group: string; readonly topic: string; readonly partition: number; readonly next: bigint }

  'inbox.tended': InboxTended
  'inbox.untended': { readonly reason: string }

  'saga.transition': { readonly saga: string; readonly id: string; readonly from: string; readonly to: string }
  'saga.ignored': { readonly saga: string; readonly id: string; readonly reason: string }
  'saga.timer_failed': { readonly saga: string; readonly id: string; readonly reason: string }
  'saga.timers_interrupted': { readonly reason: string }
  'saga.timers': { readonly due: number }

  'registry.unanswered': { readonly type: string; readonly reason: string }

  'incident.recorded': { readonly kind: string; readonly subject: string; readonly message: string }
  'part.failed': { readonly part: string; readonly error: TrunklineError | Error }
  'service.started': { readonly service: string; readonly parts: readonly string[] }
  'service.stopped': { readonly service: string; readonly inTime: boolean }
}

/** A batch: its first offset, and how many records it has. */
interface BatchPlace {
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly messages: number
}

export type BackboneDiagnostics = Diagnostics<DiagnosticCatalogue>

import type { Clock } from '../../foundation/clock.ts'
import type { BackboneDiagnostics } from '../diagnostics.ts'
import type { HeldKeys } from './held-keys.ts'
import type { Backlog, OutboxStore, Term } from './outbox-store.ts'
import type { RelayTally } from './relay-tally.ts'
import type { SettledMark } from './settled-mark.ts'
import { unlessAborted } from './unless-aborted.ts'

/** Counting must not hold up the deletes, which share the connection. */
const COUNT_WITHIN_MS = 100

export interface RelayReportParts {
  readonly store: OutboxStore
  readonly held: HeldKeys
  readonly mark: SettledMark
  readonly tally: RelayTally
  readonly diagnostics: BackboneDiagnostics
  readonly clock: Clock
}

/** How the outbox is doing, said by its owner now and then: for metrics, alarms and the log. */
export class RelayReport {
  readonly #parts: RelayReportParts
  readonly #term: Term
  readonly #everyMs: number

  constructor(parts: RelayReportParts, term: Term, everyMs: number) {
    this.#parts = parts
    this.#term = term
    this.#everyMs = everyMs
  }

  /** @param where what is known of the outbox without asking: no row up to `floor` is left, `last` was the last number taken */
  async run(signal: AbortSignal, where: () => { readonly floor: bigint; readonly last: bigint }): Promise<void> {
    const { clock } = this.#parts
    while (!signal.aborted) {
      await clock.sleep(this.#everyMs, signal)
      if (!signal.aborted) await unlessAborted(this.#tell(where()), signal)
    }
  }

  async #tell({ floor, last }: { readonly floor: bigint; readonly last: bigint }): Promise<void> {
    const { held, mark, tally, diagnostics } = this.#parts
    const markLag = last > mark.hard ? last - mark.hard : 0n
    const backlog = await this.#count(floor)
    const { messages, batches, p50Ms, p99Ms } = tally.take()
    diagnostics.emit('relay.backlog', {
      pending: backlog?.pending,
      pendingAtLeast: backlog?.pendingAtLeast ?? true,
      oldestMs: backlog?.oldestMs,
      scheduled: backlog?.scheduled,
      heldKeys: held.size,
      markLag,
      heldBackBy: markLag > 0n ? backlog?.oldestWriter : undefined,
      deadRows: backlog?.deadRows,
      epoch: this.#term.epoch,
      messages,
      batches,
      p50Ms,
      p99Ms,
    })
  }

  /** @returns `undefined` where it takes too long (many rows that are not vacuumed, or a lock), or fails in any way */
  async #count(floor: bigint): Promise<Backlog | undefined> {
    try {
      return await this.#parts.store.readBacklog(floor, COUNT_WITHIN_MS)
    } catch {
      // A report must not cost the office. That the connection is lost, the deletes and the lease hear too.
      return undefined
    }
  }
}

import { endsWithin } from '../../foundation/service.ts'
import type { Blocked, PendingRow } from './outbox-store.ts'
import { type LaneEvents, type LaneOptions, type LaneParts, RelayLane } from './relay-lane.ts'

/** The lanes of a term, one per partition that has had a message. */
export class Lanes {
  readonly #parts: LaneParts
  readonly #options: LaneOptions
  readonly #events: LaneEvents
  readonly #lanes = new Map<string, RelayLane>()
  #pass = 0

  constructor(parts: LaneParts, options: LaneOptions, events: LaneEvents) {
    this.#parts = parts
    this.#options = options
    this.#events = events
  }

  /** Starts a read of the outbox. @returns the partitions that take nothing now, so their rows need not be read */
  beginPass(): { blocked: Blocked[] } {
    this.#pass++
    const closed = [...this.#lanes.values()].filter((lane) => lane.closed)
    return { blocked: closed.map((lane) => ({ topic: lane.topic, partition: lane.partition, partitions: lane.partitions })) }
  }

  /** @returns whether its lane took the row; if not, the row stays in the table for a later pass */
  offer(row: PendingRow, partitions: number): boolean {
    const partition = row.keyHash % partitions
    const name = `${row.topic}/${partition}`
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = new RelayLane({ topic: row.topic, partition, partitions }, this.#parts, this.#options, this.#events, () => this.#pass)
      this.#lanes.set(name, lane)
    }
    return lane.offer(row)
  }

  /** Sends no new batch and waits for those on their way. */
  async stop(deadlineMs: number): Promise<void> {
    await endsWithin(Promise.all([...this.#lanes.values()].map((lane) => lane.stop())), deadlineMs)
  }
}

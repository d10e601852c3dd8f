import type { ConsumedRecord } from '../broker/log-consumer.ts'
import { type BatchRecord, isMessage } from './lanes.ts'

/**
 * So much is looked at before answers are heard again: 50 µs of it, where records are small. To ask the system whether there
 * are any costs about as much as a small record.
 */
const RECORDS_A_TURN = 8
const BYTES_A_TURN = 8_192

/**
 * Finds out what the next records of a partition are while the database works on those before them.
 *
 * Only messages are remembered: of what cannot be read, or has no handler here, more may be known when its turn comes.
 */
export class RouteAhead<Tx> {
  readonly #known = new Map<ConsumedRecord, BatchRecord<Tx>>()
  #round = 0

  /** @returns what was found out about the record; `undefined` when nothing was */
  take(record: ConsumedRecord): BatchRecord<Tx> | undefined {
    return this.#known.get(record)
  }

  /** Forgets what it knew, and looks at a few records in each turn of the event loop, so that answers are heard in between. */
  begin(records: readonly ConsumedRecord[], route: (record: ConsumedRecord) => BatchRecord<Tx> | undefined): void {
    this.end()
    const round = this.#round
    const rest = records.values()
    const next = (): void => {
      if (round !== this.#round) return
      let bytes = 0
      for (let looked = 0; looked < RECORDS_A_TURN && bytes < BYTES_A_TURN; looked++) {
        const { value: record } = rest.next()
        const routed = record === undefined ? undefined : route(record)
        if (record === undefined || routed === undefined || !isMessage(routed)) return
        this.#known.set(record, routed)
        bytes += record.value?.length ?? 0
      }
      setImmediate(next)
    }
    setImmediate(next)
  }

  end(): void {
    this.#round++
    this.#known.clear()
  }
}

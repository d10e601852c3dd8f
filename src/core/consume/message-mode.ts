import { type HeldPartition, positionFenced } from './effect.ts'
import type { BatchRecord } from './lanes.ts'
import type { PositionStore } from './position-store.ts'
import { type Settled, type SettleParts, settleBatch } from './settle.ts'

/**
 * Settles each record in a transaction of its own, lanes side by side.
 *
 * No transaction locks the position; it follows behind, up to the first record that is not settled. A record that was
 * settled behind it is known by its claim when it is read again.
 *
 * @returns how it went
 * @throws as {@link settleBatch}; by then nothing of it runs any more
 */
export async function settleEach<Tx extends object>(
  parts: SettleParts<Tx>,
  held: HeldPartition,
  records: readonly BatchRecord<Tx>[],
  signal: AbortSignal,
): Promise<Settled> {
  let reruns = 0
  const watermark = new Watermark(parts.positions, held, records)
  const stopped = new AbortController()
  const either = AbortSignal.any([signal, stopped.signal])
  const runLane = async (lane: readonly BatchRecord<Tx>[]): Promise<void> => {
    try {
      for (const each of lane) {
        if (either.aborted) return
        reruns += (await settleBatch(parts, held, [each], 'message', either)).reruns
        watermark.settled(each)
      }
    } catch (error) {
      // What happened to one lane (fenced, no database) is about the partition.
      stopped.abort(error)
      throw error
    }
  }
  const running = [...Map.groupBy(records, ({ lane }) => lane).values()].map(runLane)
  await Promise.allSettled(running)
  // The lane that stopped the others tells why.
  if (stopped.signal.aborted) throw stopped.signal.reason
  await watermark.reached()
  return { messages: records.length, reruns, halved: false }
}

/** Moves the position to the lowest record that is not settled, one move at a time. */
class Watermark<Tx> {
  readonly #positions: PositionStore<Tx>
  readonly #held: HeldPartition
  readonly #open: BatchRecord<Tx>[]
  readonly #done = new Set<BatchRecord<Tx>>()
  #moving: Promise<void> = Promise.resolve()
  #isMoving = false
  #next: bigint

  constructor(positions: PositionStore<Tx>, held: HeldPartition, records: readonly BatchRecord<Tx>[]) {
    this.#positions = positions
    this.#held = held
    this.#open = [...records].reverse()
    this.#next = held.next
  }

  settled(each: BatchRecord<Tx>): void {
    this.#done.add(each)
    for (let lowest = this.#open.at(-1); lowest !== undefined && this.#done.delete(lowest); lowest = this.#open.at(-1)) {
      this.#open.pop()
      this.#next = lowest.record.offset + 1n
    }
    if (this.#isMoving || this.#next === this.#held.next) return
    this.#isMoving = true
    this.#moving = this.#move()
    // Whoever waits for it hears of a failure.
    this.#moving.catch(() => undefined)
  }

  /** Resolves when the position stands where it can. @throws ConflictError `POSITION_FENCED` */
  async reached(): Promise<void> {
    await this.#moving
  }

  async #move(): Promise<void> {
    while (this.#next !== this.#held.next) {
      const to = this.#next
      if (!(await this.#positions.follow(this.#held, this.#held.epoch, this.#held.next, to))) throw positionFenced(this.#held)
      this.#held.next = to
    }
    this.#isMoving = false
  }
}

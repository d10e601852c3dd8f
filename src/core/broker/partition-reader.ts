import { type BackoffOptions, backoffMs } from '../../foundation/backoff.ts'
import type { Clock } from '../../foundation/clock.ts'
import { PermanentError, StuckError } from '../../foundation/errors.ts'
import type { ConsumedRecord, LogConsumerListener, PartitionRange } from './log-consumer.ts'
import type { TopicPartition } from './log-producer.ts'

/** One driver's way to read one assigned partition. */
export interface PartitionSource {
  /** What the partition holds now. */
  range(): Promise<PartitionRange>
  /** Drops what was fetched and fetches from here on. */
  seek(offset: bigint): void
  /** Drops what was fetched and fetches nothing until the next `seek`. What it throws is passed over: nothing is fetched then. */
  pause(): void
  /** Waits for the next records in offset order, at least one; rejects when the signal aborts or the place was lost. */
  next(signal: AbortSignal): Promise<readonly ConsumedRecord[]>
}

export interface PartitionReaderParts {
  readonly partition: TopicPartition
  readonly source: PartitionSource
  readonly listener: LogConsumerListener
  readonly clock: Clock
  /** Hears of each offset up to which the listener is done. */
  readonly onProgress: (next: bigint) => void
  /** Hears why the partition pauses. */
  readonly onInterrupted: (error: unknown) => void
}

const BACKOFF: BackoffOptions = { minMs: 100, maxMs: 5_000 }

/**
 * Keeps a driver's promise to its listener for one assignment of one partition: ask where to start, hand over one
 * batch at a time, and after a rejection pause, ask again and read from there.
 *
 * Drivers differ in how they fetch, not in this.
 */
export class PartitionReader {
  readonly #parts: PartitionReaderParts
  readonly #abort = new AbortController()
  #running: Promise<void> | undefined
  #toldStuck = false

  constructor(parts: PartitionReaderParts) {
    this.#parts = parts
  }

  /** @param after resolves when an earlier assignment of this partition to this member has ended */
  start(after: Promise<void> = Promise.resolve()): void {
    this.#running ??= after.then(() => this.#run(this.#abort.signal))
  }

  /** Aborts the listener's signal and says that the partition is revoked. Resolves when nothing of it runs; never rejects. */
  async end(): Promise<void> {
    const { listener, onInterrupted, partition } = this.#parts
    if (!this.#abort.signal.aborted) {
      this.#abort.abort(new Error('The partition was revoked.'))
      this.#pause()
      try {
        listener.onRevoked(partition)
      } catch (error) {
        onInterrupted(error)
      }
    }
    await this.#running
  }

  /** Never rejects: nobody waits for it, so an error would end the process. */
  async #run(signal: AbortSignal): Promise<void> {
    const { clock, onInterrupted } = this.#parts
    let failures = 0
    while (!signal.aborted) {
      try {
        await this.#readFrom(await this.#begin(), signal, () => {
          failures = 0
          this.#toldStuck = false
        })
      } catch (error) {
        if (signal.aborted) return
        this.#pause()
        failures += 1
        onInterrupted(error)
        await clock.sleep(backoffMs(failures, BACKOFF), signal)
      }
    }
  }

  /** A driver whose connection is gone cannot pause, and has nothing left to pause. */
  #pause(): void {
    try {
      this.#parts.source.pause()
    } catch {
      // Its next answer, or its membership's end, tells why.
    }
  }

  async #next(signal: AbortSignal): Promise<readonly ConsumedRecord[]> {
    try {
      return await this.#parts.source.next(signal)
    } catch (error) {
      if (error instanceof StuckError) await this.#tellStuck(error)
      throw error
    }
  }

  async #tellStuck(reason: StuckError): Promise<void> {
    if (this.#toldStuck) return
    const { listener, partition, onInterrupted } = this.#parts
    try {
      await listener.onPartitionStuck?.(partition, reason)
      this.#toldStuck = true
    } catch (error) {
      onInterrupted(error)
    }
  }

  async #begin(): Promise<bigint> {
    const { partition, listener, source } = this.#parts
    return await listener.onAssigned(partition, await source.range())
  }

  async #readFrom(start: bigint, signal: AbortSignal, progressed: () => void): Promise<void> {
    const { partition, listener, source, onProgress } = this.#parts
    if (signal.aborted) return
    source.seek(start)
    let records: readonly ConsumedRecord[] = []
    while (!signal.aborted) {
      if (records.length === 0) records = await this.#next(signal)
      const first = records[0]?.offset ?? start
      const last = records.at(-1)?.offset ?? start
      const next = await listener.onBatch({ ...partition, records }, signal)
      if (next < first) throw wentBack(partition, first, next)
      onProgress(next)
      // A listener that takes nothing has its reason; asking at once again would only burn a core.
      if (next === first && !signal.aborted) throw tookNothing(partition, first)
      progressed()
      records = next > last ? [] : records.slice(records.findIndex((record) => record.offset >= next))
      if (next > last + 1n && !signal.aborted) source.seek(next)
    }
  }
}

function wentBack(partition: TopicPartition, first: bigint, next: bigint): PermanentError {
  return new PermanentError(
    'POSITION_INVALID',
    `The listener of ${partition.topic}/${partition.partition} asked for offset ${next} after a batch that starts at ${first}. ` +
      'To go back it has to reject, and answer onAssigned.',
  )
}

function tookNothing(partition: TopicPartition, first: bigint): PermanentError {
  return new PermanentError(
    'BATCH_NOT_TAKEN',
    `The listener of ${partition.topic}/${partition.partition} took no record at offset ${first}.`,
  )
}

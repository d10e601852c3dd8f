import { setTimeout as pause } from 'node:timers/promises'
import type { ConsumedBatch, LogConsumer, LogConsumerListener, PartitionRange } from '../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import type { LogRecord, TopicPartition } from '../../src/core/broker/log-producer.ts'
import { until } from './wait.ts'

export interface LoadReport {
  readonly acked: number
  /** Records that stand in the log more than once. */
  readonly repeated: number
  readonly unknown: number
  readonly refused: number
  /** How often the partitions of the group were given out anew. */
  readonly rebalances: number
  /** Empty when nothing was lost, invented, overtaken or passed over. */
  readonly violations: readonly string[]
}

const BATCH_MAX = 5
const AGAIN_MS = 20
const PACE_MS = 5

/**
 * Appends numbered records to every partition, as the relay does, and reads them, as a consumer does: a batch is sent
 * again until it is acknowledged, and where to read is known to the listener alone.
 *
 * It shares no code with what it judges.
 */
export class LogLoad {
  readonly #writer: LogDriver
  readonly #reader: LogDriver
  readonly #topic: string
  readonly #group: string
  readonly #lanes: WritingLane[]
  readonly #reading: ReadingListener
  readonly #consumer: LogConsumer
  #running: Promise<unknown> | undefined

  /** @param reader may reach the log by another way than the writer */
  constructor(
    writer: LogDriver,
    reader: LogDriver,
    place: { readonly topic: string; readonly partitions: number; readonly group: string },
  ) {
    this.#writer = writer
    this.#reader = reader
    this.#topic = place.topic
    this.#group = place.group
    this.#lanes = Array.from({ length: place.partitions }, (_, partition) => new WritingLane(writer, { topic: place.topic, partition }))
    this.#reading = new ReadingListener(place.partitions)
    this.#consumer = reader.consumers.consumer(place.group, [place.topic])
  }

  async start(): Promise<void> {
    await this.#writer.producer.start(AbortSignal.timeout(60_000))
    await this.#consumer.start(this.#reading, AbortSignal.timeout(60_000))
    this.#running = Promise.all(this.#lanes.map((lane) => lane.run()))
  }

  /** Resolves when something more was acknowledged in every partition. @returns how long that took, in milliseconds */
  async progress(withinMs = 60_000): Promise<number> {
    const before = this.#lanes.map((lane) => lane.acked)
    const startedAt = performance.now()
    // The batch that is on its way now may have been acknowledged before.
    await until(
      `progress in every partition of ${this.#topic}`,
      () => this.#lanes.every((lane, index) => lane.acked > (before[index] ?? 0) + BATCH_MAX),
      withinMs,
    )
    return performance.now() - startedAt
  }

  /** Another member comes, reads its share from where the first one stood, and goes again. */
  async visit(withinMs = 60_000): Promise<void> {
    const visitor = this.#reader.consumers.consumer(this.#group, [this.#topic])
    const before = this.#reading.rebalances
    await visitor.start(this.#reading, AbortSignal.timeout(withinMs))
    await until(`a second member of ${this.#group} to be given its share`, () => this.#reading.rebalances > before, withinMs)
    await this.progress(withinMs)
    await visitor.stop(5_000)
  }

  /** Resolves when the reader has come near to the writer in every partition. */
  async caughtUp(withinMs = 60_000): Promise<void> {
    const acked = this.#lanes.map((lane) => lane.acked)
    await until(
      `the reader of ${this.#topic} to catch up`,
      () => acked.every((count, partition) => this.#reading.seen(partition).size >= count),
      withinMs,
    )
  }

  /** Ends writing, waits until all is read, and judges. */
  async finish(withinMs = 60_000): Promise<LoadReport> {
    for (const lane of this.#lanes) lane.end()
    await this.#running
    const stuck = await this.caughtUp(withinMs).then(
      () => [],
      (error: unknown) => [String(error)],
    )
    await this.#consumer.stop(5_000)
    return this.#judge(stuck)
  }

  #judge(stuck: readonly string[]): LoadReport {
    const total = (of: (lane: WritingLane) => number): number => this.#lanes.reduce((sum, lane) => sum + of(lane), 0)
    return {
      acked: total((lane) => lane.acked),
      repeated: this.#lanes.reduce(
        (sum, lane) => sum + this.#reading.read(lane.partition).length - this.#reading.seen(lane.partition).size,
        0,
      ),
      unknown: total((lane) => lane.unknown),
      refused: total((lane) => lane.refused),
      rebalances: this.#reading.rebalances,
      violations: [
        ...stuck,
        ...this.#reading.violations,
        ...this.#lanes.flatMap((lane) => judgeLane(lane, this.#reading.read(lane.partition))),
      ],
    }
  }
}

/** The first appearances must be all that was written, in order. */
function judgeLane(lane: WritingLane, read: readonly number[]): string[] {
  const violations: string[] = []
  const seen = new Set<number>()
  for (const number of read) {
    if (!seen.has(number) && number !== seen.size) violations.push(`partition ${lane.partition}: ${number} came where ${seen.size} was due`)
    seen.add(number)
  }
  for (let number = 0; number < lane.acked; number++)
    if (!seen.has(number)) violations.push(`partition ${lane.partition}: ${number} was acknowledged and is lost`)
  if (seen.size > lane.written) violations.push(`partition ${lane.partition}: ${seen.size - lane.written} records were invented`)
  return violations
}

class WritingLane {
  readonly #log: LogDriver
  readonly #target: TopicPartition
  #ending = false
  acked = 0
  written = 0
  unknown = 0
  refused = 0

  constructor(log: LogDriver, target: TopicPartition) {
    this.#log = log
    this.#target = target
  }

  get partition(): number {
    return this.#target.partition
  }

  end(): void {
    this.#ending = true
  }

  async run(): Promise<void> {
    while (!this.#ending) {
      const count = 1 + (this.written % BATCH_MAX)
      const batch = Array.from({ length: count }, (_, index) => numberedRecord(this.written + index))
      this.written += count
      await this.#appendUntilAcked(batch)
      await pause(PACE_MS)
    }
  }

  async #appendUntilAcked(batch: readonly LogRecord[]): Promise<void> {
    for (;;) {
      const { status } = await this.#log.producer.append(this.#target, batch)
      if (status === 'acked') break
      if (status === 'unknown') this.unknown += 1
      else this.refused += 1
      await pause(AGAIN_MS)
    }
    this.acked += batch.length
  }
}

function numberedRecord(number: number): LogRecord {
  return { key: Buffer.from('key'), value: Buffer.from(String(number)), headers: [], timestampMs: Date.now() }
}

/** Keeps the position of each partition, as an effects database does. */
class ReadingListener implements LogConsumerListener {
  readonly #positions: bigint[]
  readonly #read: number[][]
  readonly #seen: Set<number>[]
  readonly violations: string[] = []
  /** As the first partition saw them. */
  rebalances = 0

  constructor(partitions: number) {
    this.#positions = Array.from({ length: partitions }, () => 0n)
    this.#read = Array.from({ length: partitions }, () => [])
    this.#seen = Array.from({ length: partitions }, () => new Set())
  }

  /** In the order of the log. */
  read(partition: number): readonly number[] {
    return this.#read[partition] ?? []
  }

  seen(partition: number): ReadonlySet<number> {
    return this.#seen[partition] ?? new Set()
  }

  async onAssigned({ partition }: TopicPartition, range: PartitionRange): Promise<bigint> {
    const position = this.#positions[partition] ?? 0n
    if (range.latest < position) this.violations.push(`partition ${partition}: the log ends at ${range.latest}, and ${position} was read`)
    return position
  }

  async onBatch({ partition, records }: ConsumedBatch): Promise<bigint> {
    for (const { offset, value } of records) {
      const position = this.#positions[partition] ?? 0n
      if (offset > position) this.violations.push(`partition ${partition}: offsets ${position} to ${offset - 1n} were passed over`)
      if (offset < position) continue
      this.#positions[partition] = offset + 1n
      this.#read[partition]?.push(Number(value))
      this.#seen[partition]?.add(Number(value))
    }
    return (records.at(-1)?.offset ?? -1n) + 1n
  }

  onRevoked({ partition }: TopicPartition): void {
    if (partition === 0) this.rebalances += 1
  }

  onFailure(error: unknown): void {
    this.violations.push(`the consumer failed: ${String(error)}`)
  }
}

import { setTimeout as pause } from 'node:timers/promises'
import { backboneOptions } from '../src/config.ts'
import type { LogProducer } from '../src/core/broker/log-producer.ts'
import type { Transaction } from '../src/core/database/database.ts'
import type { DiagnosticCatalogue } from '../src/core/diagnostics.ts'
import type { OutboxStoreFactory } from '../src/core/outbox/outbox-store.ts'
import { Relay } from '../src/core/outbox/relay.ts'
import { systemClock } from '../src/foundation/clock.ts'
import { Diagnostics } from '../src/foundation/diagnostics.ts'
import { parseOptions } from '../src/foundation/options.ts'
import { buildDatabase } from '../src/wiring/database.ts'
import { buildLog } from '../src/wiring/log.ts'
import { buildLogger } from '../src/wiring/logger.ts'
import type { DatabaseParts, LogParts } from '../src/wiring/parts.ts'
import { measuredContract } from './outbox-ground.ts'
import { nowMs, publishSteadily } from './publish-steadily.ts'

/** A commit's reply may come after Kafka's: then it took no time. */
const SETTLE_MS = 500

export interface Latencies {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly tookMs: number
}

/** A relay and a publisher in one process, as a backbone has them, with a clock at the producer and at the reads. */
export class TimedRelay {
  readonly #database: DatabaseParts<Transaction>
  readonly #log: LogParts
  readonly #relay: Relay
  #committedAt = new Map<string, number>()
  #ackedAt = new Map<string, number>()
  #fetchMs: number[] = []

  constructor(connectionString: string, brokers: readonly string[]) {
    const given = {
      service: 'bench',
      kafka: { driver: 'kafkajs', brokers: [...brokers] },
      database: { connectionString, maxConnections: 16, connectTimeout: '1m' },
      logger: false,
    }
    const options = parseOptions(backboneOptions, given, 'TimedRelay')
    const diagnostics = new Diagnostics<DiagnosticCatalogue>()
    const shared = { clock: systemClock, diagnostics, logger: buildLogger(options, diagnostics) }
    this.#database = buildDatabase<Transaction>(options, shared, () => this.#wake())
    this.#log = buildLog(options, shared)
    const timed = { producer: this.#timed(this.#log.producer), outboxes: this.#timedReads(this.#database.outboxes) }
    this.#relay = new Relay({ ...shared, ...this.#database, ...this.#log, ...timed }, options.relay)
  }

  async start(): Promise<void> {
    await this.#log.producer.start(new AbortController().signal)
    await this.#relay.start()
  }

  async stop(): Promise<void> {
    await this.#relay.stop()
    await this.#log.producer.stop(5_000)
    await this.#log.admin.close()
    await this.#database.bell.close()
    await this.#database.database.close()
  }

  /** Publishes from this process. */
  async publish(topic: string, perSecond: number, forMs: number): Promise<void> {
    const Measured = measuredContract(topic)
    const { publisher } = this.#database
    await publishSteadily(
      (data) => publisher.transaction((tx) => publisher.publish(tx, [{ message: Measured(data) }])),
      { perSecond, forMs },
      (key, atMs) => this.committed(key, atMs),
    )
  }

  committed(key: string, atMs: number): void {
    this.#committedAt.set(key, atMs)
  }

  /** From each commit during the work to its acknowledgement. */
  async latencies(work: () => Promise<void>): Promise<Latencies> {
    this.#committedAt = new Map()
    this.#ackedAt = new Map()
    const began = nowMs()
    await work()
    const tookMs = nowMs() - began
    await pause(SETTLE_MS)
    const all = [...this.#committedAt].map(([key, atMs]) => Math.max(0, (this.#ackedAt.get(key) ?? Number.POSITIVE_INFINITY) - atMs))
    return { p50: quantile(all, 0.5), p99: quantile(all, 0.99), max: quantile(all, 1), tookMs }
  }

  /** How long reads of the outbox take during the work. */
  async fetches(work: () => Promise<void>): Promise<Pick<Latencies, 'p50' | 'p99'>> {
    this.#fetchMs = []
    await work()
    return { p50: quantile(this.#fetchMs, 0.5), p99: quantile(this.#fetchMs, 0.99) }
  }

  #wake(): void {
    if (this.#relay.inOffice) this.#relay.wake()
  }

  #timed(real: LogProducer): LogProducer {
    return {
      start: (signal) => real.start(signal),
      stop: (deadlineMs) => real.stop(deadlineMs),
      append: async (target, records) => {
        const outcome = await real.append(target, records)
        const at = nowMs()
        if (outcome.status === 'acked') for (const { key } of records) this.#ackedAt.set(String(key), at)
        return outcome
      },
    }
  }

  #timedReads(real: OutboxStoreFactory): OutboxStoreFactory {
    return {
      open: async (events) => {
        const store = await real.open(events)
        const fetchPending = store.fetchPending.bind(store)
        return Object.assign(store, {
          fetchPending: async (...given: Parameters<typeof fetchPending>) => {
            const began = nowMs()
            const result = await fetchPending(...given)
            this.#fetchMs.push(nowMs() - began)
            return result
          },
        })
      },
    }
  }
}

function quantile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

import { PostgresInboxStore } from '../../src/adapters/postgres/inbox-store.ts'
import { PostgresParkingStore } from '../../src/adapters/postgres/parking-store.ts'
import { PostgresParticipantStore } from '../../src/adapters/postgres/participant-store.ts'
import { PostgresPositionStore } from '../../src/adapters/postgres/position-store.ts'
import { PostgresProcessStore } from '../../src/adapters/postgres/process-store.ts'
import { PostgresRetryStore } from '../../src/adapters/postgres/retry-store.ts'
import { type BackboneOptions, backboneOptions, type ParsedOptions } from '../../src/config.ts'
import type { LogConsumerFactory } from '../../src/core/broker/log-consumer.ts'
import type { LogProducer } from '../../src/core/broker/log-producer.ts'
import { ConnectionShare } from '../../src/core/consume/connection-share.ts'
import { Consumer } from '../../src/core/consume/consumer.ts'
import type { ParkingStore } from '../../src/core/consume/parking-store.ts'
import { Pause } from '../../src/core/consume/pause.ts'
import type { PositionStore } from '../../src/core/consume/position-store.ts'
import { type SubscriptionOptions, SubscriptionRegistry } from '../../src/core/consume/registry.ts'
import { RetryService } from '../../src/core/consume/retry-service.ts'
import type { RetryStore } from '../../src/core/consume/retry-store.ts'
import { Solitude } from '../../src/core/consume/solitude.ts'
import type { Handler } from '../../src/core/consume/subscription.ts'
import type { AnyContract, Outgoing } from '../../src/core/contract/contract.ts'
import type { Database, Transaction } from '../../src/core/database/database.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from '../../src/core/diagnostics.ts'
import type { InboxStore } from '../../src/core/inbox/inbox-store.ts'
import type { Logger } from '../../src/core/logger.ts'
import type { OutboxStoreFactory } from '../../src/core/outbox/outbox-store.ts'
import { Relay } from '../../src/core/outbox/relay.ts'
import { type Clock, systemClock } from '../../src/foundation/clock.ts'
import { Diagnostics } from '../../src/foundation/diagnostics.ts'
import { newToken } from '../../src/foundation/ids.ts'
import { parseOptions } from '../../src/foundation/options.ts'
import { buildDatabase } from '../../src/wiring/database.ts'
import { buildLog } from '../../src/wiring/log.ts'
import type { DatabaseParts, LogParts, SharedParts } from '../../src/wiring/parts.ts'
import { buildRegistry } from '../../src/wiring/registry.ts'

/** What a test may put in the place of a real part, or around it. */
export interface Replacements {
  readonly clock?: Clock
  readonly outboxes?: (real: OutboxStoreFactory) => OutboxStoreFactory
  readonly producer?: (real: LogProducer) => LogProducer
  readonly consumers?: (real: LogConsumerFactory) => LogConsumerFactory
  readonly inbox?: (real: InboxStore<Transaction>, database: Database<Transaction>) => InboxStore<Transaction>
  readonly parking?: (real: ParkingStore<Transaction>, database: Database<Transaction>) => ParkingStore<Transaction>
  readonly retries?: (real: RetryStore<Transaction>, database: Database<Transaction>) => RetryStore<Transaction>
  readonly positions?: (real: PositionStore<Transaction>, database: Database<Transaction>) => PositionStore<Transaction>
}

/** The parts of a backbone put together by hand, so that a test can hold one of them, or break it. */
export class Assembly {
  readonly diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  readonly options: ParsedOptions
  /** As it would be called by a heartbeat; it has none. */
  readonly processId = newToken()
  readonly solitude = new Solitude()
  readonly log: LogParts
  readonly database: DatabaseParts<Transaction>
  readonly #shared: SharedParts
  readonly #replacements: Replacements
  readonly #subscriptions = new SubscriptionRegistry<Transaction>(60_000)
  #relay: Relay | undefined
  #groups: { readonly consumer: Consumer<Transaction>; readonly retries: RetryService<Transaction> }[] = []
  #stopped: Promise<void> | undefined

  constructor(options: BackboneOptions, replacements: Replacements = {}) {
    this.options = parseOptions(backboneOptions, options, 'Assembly')
    this.#replacements = replacements
    const own = { clock: replacements.clock ?? systemClock, diagnostics: this.diagnostics, logger: silent }
    this.#shared = { ...own, ...buildRegistry(this.options, own) }
    this.database = buildDatabase(this.options, this.#shared, () => this.#relay?.wake())
    const log = buildLog(this.options, this.#shared)
    this.log = {
      ...log,
      producer: replacements.producer?.(log.producer) ?? log.producer,
      consumers: replacements.consumers?.(log.consumers) ?? log.consumers,
    }
  }

  get relay(): Relay {
    this.#relay ??= new Relay(
      {
        ...this.#shared,
        ...this.database,
        ...this.log,
        outboxes: this.#replacements.outboxes?.(this.database.outboxes) ?? this.database.outboxes,
      },
      this.options.relay,
    )
    return this.#relay
  }

  subscribe<C extends AnyContract>(contract: C, handler: Handler<C, Transaction>, options: SubscriptionOptions = {}): void {
    this.#subscriptions.add(this.options.service, [contract], (message, delivery) => handler(message as C['message'], delivery), options)
  }

  transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return this.database.publisher.transaction(work)
  }

  async publish(tx: Transaction, message: Outgoing): Promise<void> {
    await this.database.publisher.publish(tx, [{ message }])
  }

  async start({ run }: { readonly run: readonly ('relay' | 'consume')[] }): Promise<void> {
    if (run.includes('relay')) {
      await this.log.producer.start(new AbortController().signal)
      await this.relay.start()
    }
    if (run.includes('consume')) {
      this.#groups = this.#buildGroups()
      await Promise.all(this.#groups.flatMap(({ consumer, retries }) => [consumer.start(), retries.start()]))
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    await Promise.all(this.#groups.flatMap(({ consumer, retries }) => [consumer.stop(), retries.stop()]))
    await this.#relay?.stop()
    await this.log.producer.stop(this.options.stopTimeout)
    await this.log.admin.close()
    await this.database.database.close()
  }

  #buildGroups(): { readonly consumer: Consumer<Transaction>; readonly retries: RetryService<Transaction> }[] {
    const { database } = this.database
    const positions = new PostgresPositionStore<Transaction>(database)
    const inbox = new PostgresInboxStore<Transaction>(database)
    const parking = new PostgresParkingStore<Transaction>(database)
    const retries = new PostgresRetryStore<Transaction>(database)
    const parts = {
      ...this.#shared,
      ...this.database,
      admin: this.log.admin,
      log: this.log.consumers,
      positions: this.#replacements.positions?.(positions, database) ?? positions,
      inbox: this.#replacements.inbox?.(inbox, database) ?? inbox,
      parking: this.#replacements.parking?.(parking, database) ?? parking,
      participants: new PostgresParticipantStore<Transaction>({ database }),
      share: new ConnectionShare(4),
      middlewares: [],
      pause: new Pause(),
      solitude: this.solitude,
      processes: new PostgresProcessStore(database),
      processId: this.processId,
    }
    const retryParts = { ...parts, retries: this.#replacements.retries?.(retries, database) ?? retries }
    const { workers, idleDelay: idleDelayMs, lease: leaseMs, discardedFor: discardedForMs } = this.options.parking
    return this.#subscriptions.groups().map((plan) => {
      const service = new RetryService(retryParts, { ...plan, workers, idleDelayMs, leaseMs, discardedForMs })
      const options = { ...plan, stopDeadlineMs: this.options.stopTimeout, onFailure: () => undefined }
      return { retries: service, consumer: new Consumer({ ...parts, onParked: () => service.wake() }, options) }
    })
  }
}

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
  isLevelEnabled: () => false,
}

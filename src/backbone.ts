import { z } from 'zod'
import { type BackboneOptions, backboneOptions, type ParsedOptions } from './config.ts'
import { checkGroupName, checkSagaGroup, checkSubscription } from './core/consume/check-registration.ts'
import type { Middleware } from './core/consume/middleware.ts'
import { toPublications } from './core/consume/outgoing.ts'
import { type GroupOptions, type SubscriptionOptions, SubscriptionRegistry, topicsOf } from './core/consume/registry.ts'
import type { Handler, PublishOptions } from './core/consume/subscription.ts'
import type { AnyContract, Outgoing } from './core/contract/contract.ts'
import type { Transaction, TransactionOutcome } from './core/database/database.ts'
import type { BackboneDiagnostics, DiagnosticCatalogue } from './core/diagnostics.ts'
import type { Health } from './core/health.ts'
import type { SagaDefinition } from './core/saga/definition.ts'
import { type Clock, systemClock } from './foundation/clock.ts'
import { Diagnostics } from './foundation/diagnostics.ts'
import { PermanentError, UnknownOutcomeError } from './foundation/errors.ts'
import { parseOptions } from './foundation/options.ts'
import { buildDatabase } from './wiring/database.ts'
import { Life, type Role } from './wiring/life.ts'
import { buildLog } from './wiring/log.ts'
import { buildLogger } from './wiring/logger.ts'
import type { DatabaseParts, SharedParts } from './wiring/parts.ts'
import { buildRegistry } from './wiring/registry.ts'
import { SagaRegistry } from './wiring/saga.ts'

const startOptions = z.strictObject({
  /** What this process does: handle messages, empty the outbox, fire the sagas' timers. Default: all three. */
  run: z
    .array(z.enum(['consume', 'relay', 'timers']))
    .min(1)
    .default(['consume', 'relay', 'timers']),
})
export type StartOptions = z.input<typeof startOptions>

/**
 * A service's backbone. It opens nothing before it is used.
 *
 * @throws ConfigurationError `OPTION_INVALID`: names the option, its limits and what it was
 */
export function createBackbone<Tx extends object = Transaction>(options: BackboneOptions<Tx>): Backbone<Tx> {
  return new Backbone<Tx>(parseOptions(backboneOptions, options, 'createBackbone'))
}

/**
 * Publishes in your transactions, hands messages to your handlers, drives your sagas.
 *
 * `Tx` is what its database hands out: our {@link Transaction}, or that of Drizzle, Kysely, Prisma or TypeORM.
 */
export class Backbone<Tx extends object = Transaction> {
  readonly service: string
  /** What the backbone reports about itself; see `DiagnosticCatalogue`. */
  readonly diagnostics: BackboneDiagnostics = new Diagnostics<DiagnosticCatalogue>()
  readonly #shared: SharedParts
  readonly #database: DatabaseParts<Tx>
  readonly #subscriptions: SubscriptionRegistry<Tx>
  readonly #sagas: SagaRegistry<Tx>
  readonly #middlewares: Middleware<Tx>[] = []
  readonly #life: Life<Tx>

  /** @param parts what stands in for the system's own: a test's clock */
  constructor(options: ParsedOptions, { clock = systemClock }: { readonly clock?: Clock } = {}) {
    this.service = options.service
    this.#subscriptions = new SubscriptionRegistry(options.idleInTransaction)
    const own = { clock, diagnostics: this.diagnostics, logger: buildLogger(options, this.diagnostics) }
    this.#shared = { ...own, ...buildRegistry(options, own) }
    this.#database = buildDatabase<Tx>(options, this.#shared, () => this.#life.wakeRelay())
    this.#sagas = new SagaRegistry(options.service, this.#shared, this.#database)
    const log = buildLog(options, this.#shared)
    this.#life = new Life(options, {
      ...this.#shared,
      ...this.#database,
      log,
      subscriptions: this.#subscriptions,
      sagas: this.#sagas,
      middlewares: this.#middlewares,
    })
  }

  /**
   * Registers a handler in the service's own consumer group.
   *
   * An event's handler returns nothing, a command's handler returns its reply. What it does in `delivery.tx` and what
   * it publishes commit together with the record that the message was handled: each effect once, in order per key.
   *
   * @throws ConfigurationError a second handler for the same message, or after `start`
   */
  subscribe<C extends AnyContract>(contract: C | readonly C[], handler: Handler<C, Tx>, options: SubscriptionOptions = {}): void {
    this.#subscribe(this.service, contract, handler, options)
  }

  /**
   * A second, independent reaction to the same messages, with a position of its own: `backbone.group('stock.audit')`.
   *
   * Under the service's own name it says how that group begins: `backbone.group('stock', { from: 'latest' })`.
   *
   * @throws ConfigurationError the same group was named with other options, its name is not the service's own or a saga's, or after `start`
   */
  group(name: string, options: GroupOptions = {}): { subscribe: Backbone<Tx>['subscribe'] } {
    this.#life.refuseWhenStarted(`group('${name}')`)
    checkGroupName(this.service, name)
    const saga = name.slice(this.service.length + 1)
    checkSagaGroup(this.service, saga, this.#sagas.has(saga))
    this.#subscriptions.startGroup(name, options)
    return {
      subscribe: (contract, handler, options) => this.#subscribe(name, contract, handler, options ?? {}),
    }
  }

  /**
   * Runs `middleware` around every handler of this backbone, those of its sagas too: inside the handler's transaction and
   * time, the first one registered outermost. Errors pass through it; what it throws fails the delivery as the handler would.
   *
   * @throws ConfigurationError after `start`
   */
  use(middleware: Middleware<Tx>): void {
    this.#life.refuseWhenStarted('use')
    this.#middlewares.push(middleware)
  }

  /** Who reads what: the consumer groups, each with its topics and the names of the messages that it handles. After `start` those of the sagas too. */
  get groups(): readonly { readonly group: string; readonly topics: readonly string[]; readonly handles: readonly string[] }[] {
    const groups = this.#subscriptions.groups()
    return groups.map(({ group, subscriptions }) => ({ group, topics: topicsOf(subscriptions), handles: [...subscriptions.keys()] }))
  }

  /** Registers a saga; it runs in its own consumer group, `<service>.<saga>`. @throws ConfigurationError the same version twice, `group` has given its name away, or after `start` */
  saga(definition: SagaDefinition): void {
    const { name } = definition.graph
    this.#life.refuseWhenStarted(`saga('${name}')`)
    checkSagaGroup(this.service, name, this.#subscriptions.has(`${this.service}.${name}`))
    this.#sagas.add(definition)
  }

  /**
   * Starts an instance in your transaction; its first command leaves with your commit.
   *
   * @param state what `state` of the definition would have made of a message
   * @returns whether it is new: the same key twice is a no-op
   * @throws ConfigurationError the saga was not registered
   */
  async startSaga<State>(tx: Tx, definition: SagaDefinition<State>, state: State, options: { id: string }): Promise<boolean> {
    return this.#sagas.start(tx, definition, state, options.id)
  }

  /**
   * Publishes with the commit of `tx`: the message reaches its topic if and only if `tx` commits.
   *
   * Everything is checked and recorded before this returns.
   *
   * @throws ContractError the key or the size does not fit; the transaction should be rolled back
   * @throws PermanentError `TRANSACTION_NEEDED`: `tx` is not a transaction of this backbone's database
   */
  async publish(tx: Tx, message: Outgoing | readonly Outgoing[], options: PublishOptions = {}): Promise<void> {
    if (!this.#database.database.owns(tx)) throw transactionNeeded()
    await this.#database.publisher.publish(tx, toPublications(message, options))
  }

  /**
   * Runs `work` in one transaction of the service's database and commits it with what was published.
   *
   * It needs neither Kafka nor `start()`.
   *
   * @returns what `work` returned, after a COMMIT that the server confirmed
   * @throws whatever `work` threw, rolled back
   * @throws TransientError nothing was changed
   * @throws ConflictError another transaction was first; nothing was changed, run it again
   * @throws UnknownOutcomeError the reply to COMMIT was lost: ask {@link Backbone.outcomeOf}
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    return this.#database.publisher.transaction(work)
  }

  /**
   * What became of a transaction whose COMMIT went unanswered.
   *
   * @returns `'unknown'` while the server cannot be asked, or no longer knows
   */
  async outcomeOf(error: unknown): Promise<TransactionOutcome> {
    const transactionId = error instanceof UnknownOutcomeError ? error.details['transactionId'] : undefined
    return typeof transactionId === 'string' ? this.#database.database.outcomeOf(transactionId) : 'unknown'
  }

  /**
   * Starts the parts that were asked for; resolves when they work. Kafka may come later: what is published waits for it, and consumers join then.
   *
   * @throws ConfigurationError the database is not migrated, or newer than this package
   * @throws ConfigurationError Kafka answers, and refuses this service; nothing runs
   * @throws TransientError the database did not answer within `startTimeout`; the message names the address, nothing runs
   */
  async start(options: StartOptions = {}): Promise<void> {
    await this.#life.start(parseOptions(startOptions, options, 'start').run satisfies Role[])
  }

  /**
   * Stops taking messages, finishes or rolls back what is running, commits, and closes every connection.
   *
   * Nothing is lost: what was not finished is read again by the next process. It may be called twice.
   */
  async stop(): Promise<void> {
    await this.#life.stop()
  }

  /** `start()`, and `stop()` on SIGTERM or SIGINT. Resolves when everything runs. @throws as {@link Backbone.start} */
  async run(options: StartOptions = {}): Promise<void> {
    await this.#life.run(parseOptions(startOptions, options, 'run').run)
  }

  /** Resolves after `stop()`; rejects when a part died for good. */
  get finished(): Promise<void> {
    return this.#life.finished
  }

  /** How the process is doing, for probes. It asks the database, and Kafka while a consumer is no member of its group, and never waits longer than two seconds. */
  health(): Promise<Health> {
    return this.#life.health()
  }

  #subscribe<C extends AnyContract>(
    group: string,
    contract: C | readonly C[],
    handler: Handler<C, Tx>,
    options: SubscriptionOptions,
  ): void {
    this.#life.refuseWhenStarted('subscribe')
    const contracts: readonly C[] = isList(contract) ? contract : [contract]
    checkSubscription(contracts, handler)
    this.#subscriptions.add(group, contracts, (message, delivery) => handler(message as C['message'], delivery), options)
  }
}

function isList<C>(contract: C | readonly C[]): contract is readonly C[] {
  return Array.isArray(contract)
}

function transactionNeeded(): PermanentError {
  return new PermanentError(
    'TRANSACTION_NEEDED',
    'publish needs the transaction that the message belongs to as its first argument, and it must be a transaction of the same database. Use backbone.transaction(async (tx) => { … await backbone.publish(tx, message) }).',
  )
}

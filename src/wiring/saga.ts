import { PostgresSagaStore } from '../adapters/postgres/saga-store.ts'
import type { SubscriptionRegistry } from '../core/consume/registry.ts'
import type { AnyContract } from '../core/contract/contract.ts'
import { SagaCoordinator } from '../core/saga/coordinator.ts'
import type { SagaDefinition } from '../core/saga/definition.ts'
import { type SagaTimerSettings, SagaTimers } from '../core/saga/timers.ts'
import { ConfigurationError } from '../foundation/errors.ts'
import type { DatabaseParts, SharedParts } from './parts.ts'

/** The sagas of a service: one coordinator each, in its own consumer group. */
export class SagaRegistry<Tx extends object> {
  readonly #service: string
  readonly #parts: SharedParts & DatabaseParts<Tx>
  readonly #store: PostgresSagaStore<Tx>
  readonly #definitions = new Map<string, readonly SagaDefinition[]>()
  readonly #coordinators = new Map<string, SagaCoordinator<Tx>>()

  constructor(service: string, shared: SharedParts, database: DatabaseParts<Tx>) {
    this.#service = service
    this.#parts = { ...shared, ...database }
    this.#store = new PostgresSagaStore({ database: database.database })
  }

  /**
   * Takes a saga in; an older version of it may stay registered beside the new one until its instances have ended.
   *
   * @throws ConfigurationError `SAGA_INVALID`: twice the same version, or its commands do not carry their replies
   */
  add(definition: SagaDefinition): void {
    const { name } = definition.graph
    const definitions = [...(this.#definitions.get(name) ?? []), definition]
    const coordinator = new SagaCoordinator<Tx>({ ...this.#parts, store: this.#store }, definitions)
    this.#definitions.set(name, definitions)
    this.#coordinators.set(name, coordinator)
  }

  has(name: string): boolean {
    return this.#definitions.has(name)
  }

  /** Every command that a saga may send. */
  commands(): readonly AnyContract[] {
    return [...this.#definitions.values()].flat().flatMap((definition) => definition.commands)
  }

  /** Each saga reads its starts and replies in a group of its own. */
  subscribe(subscriptions: SubscriptionRegistry<Tx>): void {
    for (const coordinator of this.#coordinators.values()) {
      subscriptions.add(coordinator.groupOf(this.#service), coordinator.contracts, coordinator.handler)
    }
  }

  /**
   * Starts an instance in the caller's transaction.
   *
   * @returns whether it is new: the same key twice is a no-op
   * @throws ConfigurationError `SAGA_UNKNOWN`: it was not registered
   */
  start(tx: Tx, definition: SagaDefinition, state: unknown, key: string): Promise<boolean> {
    const { name } = definition.graph
    const coordinator = this.#coordinators.get(name)
    if (coordinator !== undefined) return coordinator.startSaga(tx, state, { id: key })
    throw new ConfigurationError('SAGA_UNKNOWN', `Saga "${name}" is not registered here. Call backbone.saga(definition) first.`, {
      saga: name,
    })
  }

  /** @returns the part that fires their timers; `undefined` without sagas */
  timers(settings: SagaTimerSettings): SagaTimers<Tx> | undefined {
    if (this.#coordinators.size === 0) return undefined
    return new SagaTimers({ ...this.#parts, store: this.#store, coordinators: [...this.#coordinators.values()] }, settings)
  }
}

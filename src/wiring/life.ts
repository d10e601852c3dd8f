import { hostname } from 'node:os'
import { HealthServer } from '../adapters/http/health-server.ts'
import { checkMigrated } from '../adapters/postgres/migrate.ts'
import { PostgresProcessStore } from '../adapters/postgres/process-store.ts'
import type { ParsedOptions } from '../config.ts'
import { Heartbeat } from '../core/consume/heartbeat.ts'
import type { Middleware } from '../core/consume/middleware.ts'
import { Pause } from '../core/consume/pause.ts'
import type { SubscriptionRegistry } from '../core/consume/registry.ts'
import type { Health } from '../core/health.ts'
import type { InboxKeeper } from '../core/inbox/inbox-keeper.ts'
import { Relay } from '../core/outbox/relay.ts'
import type { SagaTimers } from '../core/saga/timers.ts'
import { ConfigurationError, isTrunklineError, messageOf, TransientError } from '../foundation/errors.ts'
import { newToken } from '../foundation/ids.ts'
import { endsWithin, type Service, stopAll } from '../foundation/service.ts'
import { askKafka } from './ask-kafka.ts'
import { buildGroups, buildInboxKeeper, type GroupServices } from './consume.ts'
import { healthOfParts } from './health.ts'
import { KafkaAnswer } from './kafka-answer.ts'
import type { DatabaseParts, LogParts, SharedParts } from './parts.ts'
import { reach } from './reach.ts'
import { askForIds } from './registry.ts'
import type { SagaRegistry } from './saga.ts'
import { onSignals } from './signals.ts'
import { Watchdog } from './watchdog.ts'

export type Role = 'consume' | 'relay' | 'timers'

export interface LifeParts<Tx extends object> extends SharedParts, DatabaseParts<Tx> {
  readonly log: LogParts
  readonly subscriptions: SubscriptionRegistry<Tx>
  readonly sagas: SagaRegistry<Tx>
  readonly middlewares: readonly Middleware<Tx>[]
}

/** So long a start waits for an answer of Kafka before it goes on without one. */
const KAFKA_UNHEARD_MS = 5_000
/** Beyond the deadline, for connections to be closed that somebody still uses. */
const STOP_MARGIN_MS = 1_000

/** From `start` to `stop`: which parts run, how they are doing, and what ends them. */
export class Life<Tx extends object> {
  readonly #options: ParsedOptions
  readonly #parts: LifeParts<Tx>
  readonly #stopping = new AbortController()
  readonly #finished = Promise.withResolvers<void>()
  #signalsOff: (() => void) | undefined
  #starting: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #closed: Promise<void> | undefined
  #relay: Relay | undefined
  #timers: SagaTimers<Tx> | undefined
  #heartbeat: Heartbeat | undefined
  readonly #pause = new Pause()
  readonly #kafka: KafkaAnswer
  readonly #processId = newToken()
  #groups: GroupServices<Tx>[] = []
  #inboxKeeper: InboxKeeper | undefined
  #healthServer: HealthServer | undefined
  #watchdog: Watchdog | undefined
  #started = false
  #failed = false

  constructor(options: ParsedOptions, parts: LifeParts<Tx>) {
    this.#options = options
    this.#parts = parts
    this.#kafka = new KafkaAnswer(parts.log.admin)
    // Whoever does not ask for `finished` still hears of a dead part by the log and by health.
    this.#finished.promise.catch(() => undefined)
  }

  get finished(): Promise<void> {
    return this.#finished.promise
  }

  /** The owner is woken here where it is in this process; otherwise it is called. */
  wakeRelay(): void {
    if (this.#relay?.inOffice === true) this.#relay.wake()
    else this.#parts.bell.ring()
  }

  /** @throws ConfigurationError `ALREADY_STARTED` */
  refuseWhenStarted(what: string): void {
    if (this.#starting === undefined) return
    throw new ConfigurationError(
      'ALREADY_STARTED',
      `${what} came after start(): register everything first, so that no message is passed over.`,
    )
  }

  start(roles: readonly Role[]): Promise<void> {
    this.#starting ??= this.#start(roles)
    return this.#starting
  }

  async run(roles: readonly Role[]): Promise<void> {
    const off = onSignals(() => this.stop())
    this.#signalsOff = off
    const { watchdog } = this.#options
    // Only here: whoever calls start() keeps the process to himself.
    if (watchdog !== false) {
      this.#watchdog = new Watchdog(this.#parts, watchdog)
      await this.#watchdog.start()
    }
    await this.start(roles)
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #start(roles: readonly Role[]): Promise<void> {
    this.#refuseWhenStopping()
    this.#parts.sagas.subscribe(this.#parts.subscriptions)
    try {
      await this.#startHealthServer()
      await this.#reachDatabase()
      await this.#prepareLog(roles)
      await askForIds(this.#parts, [...this.#parts.sagas.commands(), ...this.#parts.subscriptions.replies()])
      await this.#startParts(roles)
    } catch (error) {
      this.#failed = true
      this.#stopping.abort(error)
      await this.#close()
      throw error
    }
    this.#started = true
    this.#parts.diagnostics.emit('service.started', { service: this.#options.service, parts: roles })
  }

  /** After every wait of the start: nothing may begin to run once the stop has begun. */
  #refuseWhenStopping(): void {
    this.#stopping.signal.throwIfAborted()
  }

  async #startParts(roles: readonly Role[]): Promise<void> {
    const { log, subscriptions, sagas } = this.#parts
    if (roles.includes('relay')) {
      this.#relay = new Relay({ ...this.#parts, ...log }, this.#options.relay)
      this.#connectProducer()
      await this.#relay.start()
    }
    this.#refuseWhenStopping()
    if (roles.includes('timers')) {
      this.#timers = sagas.timers(this.#options.timers)
      await this.#timers?.start()
    }
    if (roles.includes('consume')) {
      await this.#startHeartbeat()
      this.#refuseWhenStopping()
      this.#groups = buildGroups(
        subscriptions.groups(),
        { ...this.#parts, ...log, pause: this.#pause, processId: this.#processId },
        {
          parking: this.#options.parking,
          stopDeadlineMs: this.#options.stopTimeout,
          maxConnections: maxConnectionsOf(this.#options),
          onFailure: (group, error) => this.#partFailed(`consumer ${group}`, error),
        },
      )
      if (this.#groups.length > 0) {
        this.#inboxKeeper = buildInboxKeeper(this.#parts, this.#options.inbox.keep)
        await this.#inboxKeeper.start()
        this.#refuseWhenStopping()
      }
      await Promise.all(this.#groups.flatMap(({ consumer, retries }) => [consumer.start(), retries.start()]))
    }
  }

  /** First of all: probes of a service that starts are told that it is live and not ready. */
  async #startHealthServer(): Promise<void> {
    if (this.#options.health === undefined) return
    this.#healthServer = new HealthServer(() => this.health(), this.#options.health)
    await this.#healthServer.start()
  }

  async #startHeartbeat(): Promise<void> {
    const { database, clock, diagnostics, subscriptions } = this.#parts
    const plans = subscriptions.groups()
    const groups = plans.map(({ group }) => group)
    if (groups.length === 0) return
    const parts = { processes: new PostgresProcessStore(database), pause: this.#pause, clock, diagnostics }
    const row = {
      id: this.#processId,
      service: this.#options.service,
      host: hostname(),
      pid: process.pid,
      groups,
      handles: Object.fromEntries(plans.map(({ group, subscriptions }) => [group, [...subscriptions.keys()]])),
    }
    this.#heartbeat = new Heartbeat(parts, row, this.#options.heartbeat)
    await this.#heartbeat.start()
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new TransientError('STOPPED', 'The backbone was stopped.'))
    // A start that is under way gives up at its next step; what it has started by then is stopped with the rest.
    if (this.#starting !== undefined) await endsWithin(settled(this.#starting), this.#options.stopTimeout)
    await this.#close()
  }

  #close(): Promise<void> {
    this.#closed ??= this.#closeParts()
    return this.#closed
  }

  async #closeParts(): Promise<void> {
    const { log, database, bell, diagnostics, clock } = this.#parts
    const deadline = clock.monotonic() + this.#options.stopTimeout
    const left = (): number => Math.max(0, deadline - clock.monotonic())
    // Consumers first: what their last effects published still leaves with this process's relay.
    const services: (Service | undefined)[] = [
      ...this.#groups.flatMap(({ consumer, retries }) => [consumer, retries]),
      this.#inboxKeeper,
      this.#timers,
    ]
    // Whether or not one of them failed to stop: nothing may go on behind a stop.
    const stopping = settled(stopAll(services.filter((service) => service !== undefined))).then(async () => {
      // Only now has it let go of everything.
      await Promise.all([this.#relay?.stop(), this.#heartbeat?.stop()])
    })
    const inTime = await endsWithin(settled(stopping), left() + STOP_MARGIN_MS)
    await log.producer.stop(left())
    await log.admin.close()
    await endsWithin(Promise.all([database.close(), bell.close()]), left() + STOP_MARGIN_MS)
    await Promise.all([this.#healthServer?.stop(), this.#watchdog?.stop()])
    diagnostics.emit('service.stopped', { service: this.#options.service, inTime })
    this.#signalsOff?.()
    this.#finished.resolve()
  }

  #partFailed(part: string, error: unknown): void {
    const cause = error instanceof Error ? error : new TransientError('PART_FAILED', messageOf(error))
    this.#failed = true
    this.#parts.diagnostics.emit('part.failed', { part, error: cause })
    this.#finished.reject(cause)
  }

  /** Retries until the deadline: services and databases are often started together. */
  async #reachDatabase(): Promise<void> {
    const { address, database, clock } = this.#parts
    const limits = { clock, withinMs: this.#options.startTimeout, signal: this.#stopping.signal }
    await reach(`the database at ${address}`, () => checkMigrated(database.outside), limits)
  }

  /** A process that only relays does not wait for the answer: what a person must correct, its producer tells. */
  async #prepareLog(roles: readonly Role[]): Promise<void> {
    const { log, subscriptions } = this.#parts
    const topics = subscriptions.topics()
    const consumes = roles.includes('consume') && topics.length > 0
    if (!consumes && !roles.includes('relay')) return
    const asking = askKafka(this.#parts, Math.min(KAFKA_UNHEARD_MS, this.#options.startTimeout), this.#stopping.signal)
    if (consumes) await asking
    else asking.catch(() => undefined)
    this.#refuseWhenStopping()
    await log.prepareTopics(topics)
  }

  /** In the background; only what a person must correct ends the relay. */
  #connectProducer(): void {
    const { log } = this.#parts
    const connected = log.producer.start(this.#stopping.signal)
    connected.catch((error: unknown) => {
      if (isTrunklineError(error) && error.name === 'ConfigurationError') this.#partFailed('producer', error)
    })
  }

  /**
   * It is live until its start failed or a part died for good, for that is mended by a new process; it is ready while everything runs,
   * and not from the moment on at which it is told to stop.
   */
  async health(): Promise<Health> {
    const parts = await healthOfParts({
      database: this.#parts.database,
      relay: this.#relay,
      timers: this.#timers,
      groups: this.#groups,
      pause: this.#pause,
      kafka: this.#kafka,
    })
    const running = this.#started && !this.#stopping.signal.aborted
    return { live: !this.#failed, ready: running && Object.values(parts).every((part) => part.ready), parts }
  }
}

function maxConnectionsOf({ database }: ParsedOptions): number {
  // A library does not tell the size of its pool; each has ten by default.
  if ('transaction' in database) return 10
  return 'pool' in database ? database.pool.options.max : database.maxConnections
}

function settled(work: Promise<unknown>): Promise<unknown> {
  return work.catch(() => undefined)
}

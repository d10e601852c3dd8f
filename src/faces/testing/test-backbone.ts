import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Pool } from 'pg'
import { MemoryLog } from '../../adapters/memory/memory-log.ts'
import { createPool } from '../../adapters/postgres/database.ts'
import { type DeadLetter, readUnsettled } from '../../adapters/postgres/queries/unsettled.ts'
import { Backbone } from '../../backbone.ts'
import { backboneOptions, type ParsedOptions } from '../../config.ts'
import type { PublishOptions } from '../../core/consume/subscription.ts'
import type { AnyContract, Outgoing } from '../../core/contract/contract.ts'
import type { Queryable, Transaction } from '../../core/database/database.ts'
import { type Duration, durationMs } from '../../foundation/duration.ts'
import { ConfigurationError, TransientError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import { type Explore, explore } from './explore.ts'
import { FaultPlan } from './fault-plan.ts'
import { Published } from './published.ts'
import { type Restlessness, restlessness } from './restlessness.ts'
import { TestClock } from './test-clock.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'
import { TestLife } from './test-life.ts'
import {
  type QuietOptions,
  quietOptions,
  type TestBackboneOptions,
  type TestBackboneSettings,
  testBackboneOptions,
} from './test-options.ts'

/** How often time is moved before a cascade counts as endless. */
const MOVES_MAX = 1_000
const LOOK_EVERY_MS = 2
/**
 * Starts a service for a test: the backbone of production, on a log in memory, a PostgreSQL database of the test's own
 * and a clock that the test moves.
 *
 * @throws ConfigurationError `TEST_DATABASE_MISSING`: there is no server, and no embedded one
 * @throws whatever `prepare` or a function of `register` threw; nothing runs then
 */
export async function testBackbone(options: TestBackboneOptions): Promise<TestBackbone> {
  const settings = parseOptions(testBackboneOptions, options, 'testBackbone')
  const seed = settings.seed ?? randomInt(2 ** 32)
  return await TestBackbone.open({ ...settings, seed }, new FaultPlan(seed, settings.faults))
}

/** A service under test. It ends with `close()`, or at the end of the block of `await using`. */
export class TestBackbone {
  readonly #settings: TestBackboneSettings
  readonly #plan: FaultPlan
  readonly #clock = new TestClock()
  readonly #log = new MemoryLog({ clock: this.#clock })
  readonly #database: TestDatabase
  readonly #options: ParsedOptions
  readonly #pool: Pool
  readonly #outside: Backbone
  readonly #life: TestLife
  #moving: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined

  private constructor(settings: TestBackboneSettings, plan: FaultPlan, database: TestDatabase) {
    this.#settings = settings
    this.#plan = plan
    this.#database = database
    this.#pool = createPool({
      connection: { connectionString: database.url },
      maxConnections: 4,
      connectTimeoutMs: 5_000,
      answerTimeoutMs: 60_000,
      applicationName: 'trunkline testing',
    })
    this.#options = this.#parse(settings)
    const parts = { clock: this.#clock, log: this.#log, plan, pass: (ms: number) => this.#move(ms) }
    this.#life = new TestLife(parts, settings)
    this.#outside = this.#life.watch(new Backbone(this.#options, { clock: this.#clock }))
  }

  /** @internal */
  static async open(settings: TestBackboneSettings, plan: FaultPlan): Promise<TestBackbone> {
    const test = new TestBackbone(settings, plan, await createTestDatabase(settings.database))
    try {
      if (settings.prepare !== undefined) await test.transaction(settings.prepare)
      await test.#life.start(test.#options, test.databaseUrl)
      return test
    } catch (error) {
      await test.close()
      throw error
    }
  }

  /** The service's backbone. After a `crash` it is another one. */
  get backbone(): Backbone {
    return this.#life.backbone
  }

  /** The database of this test, for handlers and helpers that open connections of their own. */
  get databaseUrl(): string {
    return this.#database.url
  }

  /** Which places faults strike at; the same seed strikes at the same places. */
  get seed(): number {
    return this.#plan.seed
  }

  /** What has gone wrong so far, in words. */
  get faults(): readonly string[] {
    return this.#plan.fired
  }

  /** Publishes in a transaction of its own, from outside of the service: no fault befalls it. @throws ContractError nothing was published */
  async publish(message: Outgoing | readonly Outgoing[], options: PublishOptions = {}): Promise<void> {
    await this.#outside.transaction((tx) => this.#outside.publish(tx, message, options))
  }

  /** One transaction in the test's database, from outside of the service. */
  transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return this.#outside.transaction(work)
  }

  /** Rows of one statement in the test's database. */
  // biome-ignore lint/suspicious/noExplicitAny: rows have the shape of the user's own SQL, which TypeScript cannot see
  async query(text: string, values: readonly unknown[] = []): Promise<Record<string, any>[]> {
    return (await this.#pool.query(text, [...values])).rows
  }

  /**
   * Resolves when nothing is left to do: the outbox is empty, every group has read its topics to the end, no retry
   * and no timer is due. Retries that wait for their time are brought forward; timers and scheduled messages too, if asked.
   *
   * @throws TransientError `NOT_QUIET`: says what was still to be done after `within`
   * @throws TransientError `DEAD_LETTERS`: messages could not be applied; says why, unless `allowDeadLetters`
   */
  async quiet(options: QuietOptions = {}): Promise<void> {
    const { timers, within, allowDeadLetters } = parseOptions(quietOptions, options, 'quiet')
    const deadline = performance.now() + within
    let moves = 0
    while (true) {
      await this.#life.recovered()
      const { reasons, waitMs, deadLetters } = await this.#look(timers)
      if (reasons.length === 0 && !this.#life.isRecovering) {
        if (deadLetters.length > 0 && !allowDeadLetters) throw deadLettersFound(deadLetters)
        return
      }
      if (performance.now() > deadline || moves > MOVES_MAX) throw notQuiet(within, reasons, this.#life.failures)
      if (waitMs === undefined) await pause(LOOK_EVERY_MS)
      else await this.#move(waitMs)
      moves += waitMs === undefined ? 0 : 1
    }
  }

  /** What was published of one contract and reached its topic: `t.published(OrderPlaced).once()`. Messages of repeated sends count once. */
  published<C extends AnyContract>(contract: C): Published<C> {
    const { reader, failures } = this.#life
    return new Published(contract, reader.messagesOf(contract), { types: reader.types(), failures })
  }

  /** Messages that could not be applied, with why. */
  async deadLetters(): Promise<readonly DeadLetter[]> {
    return (await readUnsettled(this.#queryable())).deadLetters
  }

  /** Moves time, in the process and in `trunkline.now()`: whatever is due then runs, and `quiet()` waits for it. */
  async advance(by: Duration): Promise<void> {
    const ms = durationMs(by)
    if (ms === undefined) throw new ConfigurationError('OPTION_INVALID', `advance: expected a duration such as '30s' or '1h', got "${by}".`)
    await this.#move(ms)
  }

  /** Ends the process between two awaits, as SIGKILL would, and starts it again; `quiet()` waits for that. */
  crash(): void {
    this.#life.crash()
  }

  /**
   * Runs a scenario again and again, each time in a test of its own with other faults, and checks what must always hold.
   *
   * `check` publishes, waits until it is quiet and throws when something is wrong. The faults of a run are decided by
   * its seed alone: `explore({ seed })` runs that one again.
   *
   * @throws AssertionError names the seed, the faults that had struck, and what `check` threw
   */
  async explore(options: Explore, check: (test: TestBackbone) => Promise<void>): Promise<void> {
    const settings = this.#settings
    await explore(options, {
      // With several partitions keys run side by side, which some faults need and most are less repeatable by.
      open: (plan) => TestBackbone.open({ ...settings, partitions: plan.draw('partitions') < 0.7 ? settings.partitions : 3 }, plan),
      check,
    })
  }

  /** Stops everything and drops the database. It may be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #parse({ service, partitions }: TestBackboneSettings): ParsedOptions {
    const options = {
      service,
      kafka: { driver: 'memory', log: this.#log },
      database: { pool: this.#pool },
      topics: { partitions },
      // Short enough that a test does not wait, long enough that nothing spins.
      relay: { idleDelay: '2ms', lease: '1s' },
      timers: { idleDelay: '10ms' },
      parking: { lease: '1s', idleDelay: '10ms' },
      heartbeat: '1s',
      stopTimeout: '2s',
      logger: false,
    } as const
    return parseOptions(backboneOptions, options, 'testBackbone')
  }

  async #look(timers: boolean): Promise<Restlessness & { readonly deadLetters: readonly DeadLetter[] }> {
    const { reader } = this.#life
    // The database first: what is not in the outbox any more must be in its topic by then.
    const unsettled = await readUnsettled(this.#queryable())
    const ends = new Map(await Promise.all(reader.topics.map(async (topic) => [topic, await reader.ends(topic)] as const)))
    const rest = restlessness(unsettled, this.backbone.groups, ends, timers ? 'timers' : 'retries')
    return { ...rest, deadLetters: unsettled.deadLetters }
  }

  #move(ms: number): Promise<void> {
    const moved = this.#moving.then(async () => {
      const aheadMs = Math.ceil(this.#clock.aheadMs + ms)
      // One statement moves every session at once, those of the user too; a setting would have to reach each of them.
      await this.#pool.query(`create or replace function trunkline.now() returns timestamptz language sql volatile as
        $$ select clock_timestamp() + interval '${aheadMs} milliseconds' $$`)
      this.#clock.advance(ms)
    })
    this.#moving = moved.catch(() => undefined)
    return moved
  }

  #queryable(): Queryable {
    return {
      query: async (text, values = []) => {
        const { rows, rowCount } = await this.#pool.query(text, [...values])
        return { rows, rowCount: rowCount ?? 0 }
      },
    }
  }

  async #close(): Promise<void> {
    await Promise.all([this.#life.stop(), this.#outside.stop()])
    await this.#pool.end()
    await this.#database.drop()
  }
}

function notQuiet(withinMs: number, reasons: readonly string[], failures: readonly string[]): TransientError {
  const failed = failures.length === 0 ? '' : ` Failed deliveries: ${failures.join('; ')}.`
  const message = `It was not quiet within ${withinMs} ms: ${reasons.join('; ')}.${failed} Raise "within" if it only needs longer; a cascade that feeds itself never ends.`
  return new TransientError('NOT_QUIET', message, { reasons })
}

function deadLettersFound(found: readonly DeadLetter[]): TransientError {
  const lines = found.map((one) => `  group "${one.group}", ${one.topic}/${one.partition}/${one.offset}: ${one.reasonCode}, ${one.reason}`)
  return new TransientError(
    'DEAD_LETTERS',
    `${found.length} messages could not be applied and became dead letters:\n${lines.join('\n')}\nIf the test means them to, call quiet({ allowDeadLetters: true }).`,
  )
}

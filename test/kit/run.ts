import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'pg'
import { type Backbone, createBackbone } from '../../src/index.ts'
import { judge, type Verdict } from './checker.ts'
import { readDatabase, readOperations, readTopic, runTables, toLogged } from './history.ts'
import { createKafkaTopic, endOf } from './kafka-topics.ts'
import type { Plan } from './plan.ts'
import { TestProcess } from './processes.ts'
import { until } from './wait.ts'
import { publishNext } from './workload.ts'

export interface Servers {
  readonly brokers: readonly string[]
  /** A migrated database of the run's own. */
  readonly databaseUrl: string
  /** Nobody else's name. */
  readonly topic: string
}

/** One run of the workload on real servers: programs that may be killed, and at the end the judge. */
export class Run {
  readonly servers: Servers
  readonly historyPath: string
  readonly #directory: string
  readonly #pool: Pool
  readonly #processes: TestProcess[] = []
  readonly #topics: string[]
  readonly #publisher: Backbone

  private constructor(servers: Servers) {
    this.servers = servers
    this.#topics = [servers.topic]
    this.#directory = mkdtempSync(join(tmpdir(), 'trunkline-run-'))
    this.historyPath = join(this.#directory, 'history.jsonl')
    // A pool, because a run may crash its database: whoever asks next opens anew.
    this.#pool = new Pool({ connectionString: servers.databaseUrl, max: 2 })
    this.#pool.on('error', () => undefined)
    this.#publisher = createBackbone({
      service: 'judge',
      kafka: { driver: 'kafkajs', brokers: [...servers.brokers] },
      database: { connectionString: servers.databaseUrl },
      logger: false,
    })
  }

  static async begin(servers: Servers, partitions = 4): Promise<Run> {
    const run = new Run(servers)
    try {
      await run.#pool.query(runTables)
      await createKafkaTopic(servers.brokers, servers.topic, partitions)
      return run
    } catch (error) {
      await run[Symbol.asyncDispose]()
      throw error
    }
  }

  /** The service, and the consumer group, of this run's programs. */
  get group(): string {
    return this.servers.topic
  }

  /** One more topic, whose group has its name too. Keys must be of one topic only. */
  async openTopic(topic: string, partitions = 4): Promise<void> {
    await createKafkaTopic(this.servers.brokers, topic, partitions)
    this.#topics.push(topic)
  }

  /** Publishes without Kafka and without a relay: what `publish` promises to work. */
  async publish(key: string, note = '', topic = this.servers.topic): Promise<number> {
    return await publishNext(this.#publisher, topic, key, { note })
  }

  /** `each` messages of every key, in turn. */
  async publishAll(keys: readonly string[], each: number): Promise<void> {
    for (let round = 0; round < each; round++) {
      for (const key of keys) await this.publish(key)
    }
  }

  /** Starts a program with this run's addresses. */
  spawn(plan: Partial<Plan>, program = 'service'): TestProcess {
    const { brokers, databaseUrl, topic } = this.servers
    // A group of the run's own: its members must all read the same topics.
    const process = new TestProcess(program, { brokers, databaseUrl, topic, service: this.group, ...plan }, plan.heapMb)
    this.#processes.push(process)
    return process
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#pool.query<Record<string, unknown>>(text, values)).rows
  }

  async count(table: string): Promise<number> {
    return Number((await this.query(`select count(*) as count from ${table}`))[0]?.['count'])
  }

  /** Resolves when the outbox is empty and each group stands at the end of its topic: nothing will move any more. */
  async drained({ withinMs = 40_000 } = {}): Promise<void> {
    await this.relayed(withinMs)
    for (const topic of this.#topics) {
      const end = await endOf(this.servers.brokers, topic)
      await until(`group "${topic}" at offset sum ${end}`, async () => (await this.#position(topic)) >= end, withinMs)
    }
  }

  /** Resolves when no parked key will move by itself any more: each is gone, or held by a dead letter. */
  async retried(withinMs = 40_000): Promise<void> {
    await until('no parked key that moves', async () => (await this.count("trunkline.parked_key where due < 'infinity'")) === 0, withinMs)
  }

  async relayed(withinMs = 40_000): Promise<void> {
    await until('an empty outbox', async () => (await this.count('trunkline.outbox')) === 0, withinMs)
  }

  async judge(): Promise<Verdict> {
    const { brokers, databaseUrl } = this.servers
    const read = await Promise.all(this.#topics.map((topic) => readTopic(brokers, topic)))
    const log = read.flatMap((records) => toLogged(records))
    return judge({ ...(await readDatabase(databaseUrl)), log, operations: readOperations(this.historyPath) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()))
    await this.#publisher.stop()
    await this.#pool.end()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  async #position(topic: string): Promise<number> {
    const rows = await this.query(
      'select coalesce(sum(next_offset), 0) as at from trunkline.consumer_position where consumer_group = $1 and topic = $1',
      [topic],
    )
    return Number(rows[0]?.['at'])
  }
}

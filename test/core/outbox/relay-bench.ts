import { randomUUID } from 'node:crypto'
import { Pool } from 'pg'
import { onTestFinished } from 'vitest'
import { MemoryLog } from '../../../src/adapters/memory/memory-log.ts'
import type { BackboneOptions } from '../../../src/config.ts'
import { positiveHash } from '../../../src/core/broker/partitioner.ts'
import { encodePayload } from '../../../src/core/contract/codec.ts'
import { Assembly, type Replacements } from '../../kit/assembly.ts'
import { type History, judge, readCounted } from '../../kit/checker.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { readDatabase, runTables } from '../../kit/history.ts'
import { MemoryReader } from '../../kit/memory-reader.ts'
import { until } from '../../kit/wait.ts'
import { publishNext } from '../../kit/workload.ts'

/** A database and a memory log of the test's own, and relays between them. */
export class RelayBench {
  readonly log: MemoryLog
  readonly url: string
  readonly #pool: Pool
  readonly #publisher: Assembly
  readonly #reader: MemoryReader

  private constructor(url: string, log: MemoryLog) {
    this.url = url
    this.log = log
    this.#reader = new MemoryReader(log)
    this.#pool = new Pool({ connectionString: url, max: 4 })
    this.#publisher = this.assembly()
    onTestFinished(async () => {
      await this.#reader.stop()
      await this.#pool.end()
    })
  }

  static async open(topics: Readonly<Record<string, number>> = {}): Promise<RelayBench> {
    const { url } = await createTestDatabase()
    const bench = new RelayBench(url, new MemoryLog())
    await bench.#pool.query(runTables)
    for (const [name, partitions] of Object.entries(topics)) await bench.create(name, partitions)
    return bench
  }

  async create(name: string, partitions: number): Promise<void> {
    await this.log.driver().admin.createTopics([{ name, partitions, replicationFactor: 1 }])
  }

  /** A relay that is not started yet; it stops with the test. */
  assembly(relay: BackboneOptions['relay'] = {}, replacements: Replacements = {}, connectionString = this.url): Assembly {
    const assembly = new Assembly(
      {
        service: 'judge',
        kafka: { driver: 'memory', log: this.log },
        database: { connectionString },
        relay: { lease: '1s', idleDelay: '10ms', ...relay },
        stopTimeout: '1s',
      },
      replacements,
    )
    onTestFinished(() => assembly.stop())
    return assembly
  }

  async publish(topic: string, ...keys: readonly string[]): Promise<void> {
    for (const key of keys) await publishNext(this.#publisher, topic, key)
  }

  /** A message of so many bytes. */
  async publishLarge(topic: string, key: string, bytes: number): Promise<void> {
    const message = countedOn(topic)({ key, version: 1, note: 'x'.repeat(bytes) })
    await this.#publisher.transaction((tx) => this.#publisher.publish(tx, message))
  }

  /** A statement that publishes in any session, without the lock that `publish` takes. */
  insertSql(topic: string, key: string, version: number): string {
    const message = countedOn(topic)({ key, version })
    const value = encodePayload(message.definition, message.data).toString('hex')
    const id = randomUUID()
    return `insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
            values (0, ${positiveHash(Buffer.from(key))}, '${topic}', '${id}', '${key}', '\\x${value}', '')`
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.#pool.query<Record<string, unknown>>(text, values)).rows
  }

  /** A session of the test's own, to hold a transaction open. */
  get pool(): Pool {
    return this.#pool
  }

  /** Asks for every held key, as the command line does. */
  async request(act: 'redrive' | 'discard'): Promise<void> {
    await this.query('update trunkline.outbox_held_key set request = $1, requested_at = trunkline.now()', [act])
  }

  async waiting(): Promise<number> {
    return Number((await this.query('select count(*) as count from trunkline.outbox'))[0]?.['count'])
  }

  async relayed(): Promise<void> {
    await until('an empty outbox', async () => (await this.waiting()) === 0)
  }

  /** What the topic's partitions hold: the names of the messages, in order. */
  async messages(topic: string): Promise<string[][]> {
    const partitions = (await this.#reader.read(topic)).map((records) => records.flatMap(({ value }) => readCounted(value) ?? []))
    return partitions.map((messages) => messages.map(({ key, version }) => `${key}${version}`))
  }

  /** Judges what was committed against the logs of these topics. Effects are not part of it. */
  async violations(...topics: readonly string[]): Promise<readonly string[]> {
    const { committed } = await readDatabase(this.url)
    const log = (await Promise.all(topics.map((topic) => this.#reader.logged(topic)))).flat()
    const history: History = { committed, log, operations: [], effects: [], kept: committed }
    return judge(history).violations
  }
}

/** The keys in turn, so many times. */
export function repeat(keys: readonly string[], times: number): string[] {
  return Array.from({ length: times }, () => keys).flat()
}

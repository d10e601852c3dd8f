import { Pool } from 'pg'
import { onTestFinished } from 'vitest'
import { MemoryLog } from '../../../src/adapters/memory/memory-log.ts'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import { type Backbone, createBackbone } from '../../../src/index.ts'
import { Assembly, type Replacements } from '../../kit/assembly.ts'
import { judge } from '../../kit/checker.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { readDatabase, runTables } from '../../kit/history.ts'
import { MemoryReader } from '../../kit/memory-reader.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted, publishNext } from '../../kit/workload.ts'

/** What a foreign producer may write. */
export interface ForeignRecord {
  readonly key?: Buffer | null
  readonly value: Buffer | null
  readonly headers?: readonly HeaderPair[]
  readonly timestampMs?: number
}

/** A database and a memory log of the test's own, with one topic, `t`, and backbones of the service `judge` on both. */
export class ConsumeBench {
  readonly log = new MemoryLog()
  readonly url: string
  readonly pool: Pool
  readonly #reader: MemoryReader
  #publisher: Backbone | undefined

  private constructor(url: string) {
    this.url = url
    this.pool = new Pool({ connectionString: url, max: 4 })
    this.#reader = new MemoryReader(this.log)
    onTestFinished(async () => {
      await this.#reader.stop()
      await this.pool.end()
    })
  }

  static async open(partitions = 1): Promise<ConsumeBench> {
    const bench = new ConsumeBench((await createTestDatabase()).url)
    await bench.pool.query(runTables)
    await bench.log.driver().admin.createTopics([{ name: 't', partitions, replicationFactor: 1 }])
    return bench
  }

  backbone(): { readonly backbone: Backbone; readonly witness: Witness } {
    const backbone = createBackbone(this.#options())
    onTestFinished(() => backbone.stop())
    return { backbone, witness: new Witness(backbone.diagnostics) }
  }

  /** The same, put together by hand. */
  assembly(replacements: Replacements = {}): Assembly {
    const assembly = new Assembly(this.#options(), replacements)
    onTestFinished(() => assembly.stop())
    return assembly
  }

  /** Publishes the next message of a key and sees it into the topic. */
  async publish(key: string, note = ''): Promise<number> {
    this.#publisher ??= await this.#startPublisher()
    const version = await publishNext(this.#publisher, 't', key, { note })
    await this.relayed()
    return version
  }

  /** Publishes the next message of each key, in this order, and sees all of them into the topic. */
  async publishAll(keys: readonly (string | readonly [key: string, note: string])[]): Promise<void> {
    this.#publisher ??= await this.#startPublisher()
    for (const each of keys) {
      const [key, note] = typeof each === 'string' ? [each, ''] : each
      await publishNext(this.#publisher, 't', key, { note })
    }
    await this.relayed()
  }

  async relayed(): Promise<void> {
    await until('an empty outbox', async () => (await this.query('select from trunkline.outbox')).length === 0)
  }

  /** Writes bytes that no backbone wrote. */
  async append(record: ForeignRecord, partition = 0): Promise<void> {
    const { producer } = this.log.driver()
    const { key = null, value, headers = [], timestampMs = Date.now() } = record
    const outcome = await producer.append({ topic: 't', partition }, [{ key, value, headers, timestampMs }])
    if (outcome.status !== 'acked') throw outcome.reason
  }

  /** Writes every record of the topic once more, as a relay does that died before it removed them. */
  async sendAgain(): Promise<void> {
    const partitions = await this.#reader.read('t')
    for (const [partition, records] of partitions.entries()) {
      for (const record of records) await this.append(record, partition)
    }
  }

  async headersOf(topic: string): Promise<Record<string, string>[]> {
    const partitions = await this.#reader.read(topic)
    return partitions.flat().map(({ headers }) => Object.fromEntries(headers.map(([name, value]) => [name, String(value)])))
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.pool.query<Record<string, unknown>>(text, values)).rows
  }

  /** Resolves when the group has settled everything that the topic holds. */
  async settled(group = 'judge'): Promise<void> {
    const end = (await this.#reader.read('t')).flat().length
    await until(`group "${group}" at offset sum ${end}`, async () => {
      const [row] = await this.query(positionSql, [group])
      return Number(row?.['at']) === end
    })
  }

  async effects(): Promise<string[]> {
    const rows = await this.query('select key, version from effect order by at')
    return rows.map(({ key, version }) => `${String(key)}${String(version)}`)
  }

  async parked(): Promise<Record<string, unknown>[]> {
    return await this.query('select state, attempts, reason_code, key_hash is not null as keyed from trunkline.parked_message order by seq')
  }

  async violations(): Promise<readonly string[]> {
    return judge({ ...(await readDatabase(this.url)), log: await this.#reader.logged('t'), operations: [] }).violations
  }

  async #startPublisher(): Promise<Backbone> {
    const { backbone } = this.backbone()
    await backbone.start({ run: ['relay'] })
    return backbone
  }

  #options() {
    return {
      service: 'judge',
      kafka: { driver: 'memory', log: this.log },
      database: { connectionString: this.url },
      relay: { lease: '1s', idleDelay: '5ms' },
      stopTimeout: '1s',
      logger: false,
    } as const
  }
}

const positionSql = `
  select coalesce(sum(next_offset), 0) as at from trunkline.consumer_position where consumer_group = $1 and topic = 't'`

/** A started consumer with the workload's handler. */
export async function consuming(bench: ConsumeBench) {
  const started = bench.backbone()
  applyCounted(started.backbone, { topic: 't' })
  await started.backbone.start({ run: ['consume'] })
  return started
}

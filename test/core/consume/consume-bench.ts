import { Pool } from 'pg'
import { onTestFinished } from 'vitest'
import { MemoryLog } from '../../../src/adapters/memory/memory-log.ts'
import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import type { ConsumedRecord } from '../../../src/core/broker/log-consumer.ts'
import type { HeaderPair } from '../../../src/core/broker/log-producer.ts'
import { type Backbone, type BackboneOptions, createBackbone } from '../../../src/index.ts'
import { Assembly, type Replacements } from '../../kit/assembly.ts'
import { judge } from '../../kit/checker.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { readDatabase, runTables } from '../../kit/history.ts'
import { MemoryReader } from '../../kit/memory-reader.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted, publishNext } from '../../kit/workload.ts'
import { countedMessage } from './parked.ts'

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
  readonly #parked = new Map<string, number>()

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

  backbone(parking: BackboneOptions['parking'] = {}): { readonly backbone: Backbone; readonly witness: Witness } {
    const backbone = createBackbone({ ...this.#options(), parking })
    onTestFinished(() => backbone.stop())
    return { backbone, witness: new Witness(backbone.diagnostics) }
  }

  /** The same, put together by hand. */
  assembly(replacements: Replacements = {}, connectionString = this.url, parking: BackboneOptions['parking'] = {}): Assembly {
    const assembly = new Assembly({ ...this.#options(), database: { connectionString }, parking }, replacements)
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

  /** Parks messages of the given keys, each the next version of its key, as if a handler had failed on them. */
  async park(...keys: readonly string[]): Promise<void> {
    const { database } = this.assembly().database
    const parking = new PostgresParkingStore(database)
    const messages = keys.map((key) => countedMessage('judge', key, this.#nextVersion(key)))
    await database.transaction((tx) => parking.park(tx, messages))
  }

  #nextVersion(key: string): number {
    const version = (this.#parked.get(key) ?? 0) + 1
    this.#parked.set(key, version)
    return version
  }

  /** Writes every record of the topic once more, as a relay does that died before it removed them. */
  async sendAgain(): Promise<void> {
    const partitions = await this.#reader.read('t')
    for (const [partition, records] of partitions.entries()) {
      for (const record of records) await this.append(record, partition)
    }
  }

  /** What stands in the topic now. */
  async records(): Promise<readonly ConsumedRecord[]> {
    return (await this.#reader.read('t')).flat()
  }

  async headersOf(topic: string): Promise<Record<string, string>[]> {
    const partitions = await this.#reader.read(topic)
    return partitions.flat().map(({ headers }) => Object.fromEntries(headers.map(([name, value]) => [name, String(value)])))
  }

  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    return (await this.pool.query<Record<string, unknown>>(text, values)).rows
  }

  /** Resolves when the group has settled everything that the topic holds, and no parked message is to run again now. */
  async settled(group = 'judge'): Promise<void> {
    const end = (await this.#reader.read('t')).flat().length
    await until(`group "${group}" at offset sum ${end}`, async () => {
      const [row] = await this.query(positionSql, [group])
      return Number(row?.['at']) === end
    })
    await until('no message that is to run again now', async () => (await this.query(retriesSql, [group])).length === 0)
  }

  /** Resolves when the group stands at that offset. */
  async reached(offset: number, group = 'judge'): Promise<void> {
    await until(`group "${group}" at offset ${offset}`, async () => {
      const [row] = await this.query(positionSql, [group])
      return Number(row?.['at']) === offset
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
      heartbeat: '5s',
      stopTimeout: '1s',
      logger: false,
    } as const
  }
}

// What waits for another build, waits for long.
// Not now(): what became due after this began and is seen all the same would be taken for what is due later.
const retriesSql = `
  select from trunkline.parked_key k
    join lateral (select reason_code from trunkline.parked_message m
                   where m.consumer_group = k.consumer_group and m.key_topic = k.topic and m.key_hash = k.key_hash
                   order by seq limit 1) head on true
   where k.consumer_group = $1 and (k.due <= clock_timestamp() + interval '5 milliseconds' or k.lease_until > clock_timestamp())
     and head.reason_code not in ('HANDLER_ELSEWHERE', 'SCHEMA_UNKNOWN')`

const positionSql = `
  select coalesce(sum(next_offset), 0) as at from trunkline.consumer_position where consumer_group = $1 and topic = 't'`

/** A started consumer with the workload's handler. */
export async function consuming(bench: ConsumeBench) {
  const started = bench.backbone()
  applyCounted(started.backbone, { topic: 't' })
  await started.backbone.start({ run: ['consume'] })
  return started
}

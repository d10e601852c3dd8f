import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import type { BackboneOptions } from 'trunkline'
import { MemoryLog } from 'trunkline'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { migrate } from '../../../src/adapters/postgres/migrate.ts'
import { createDatabase, dropDatabases } from '../../../src/adapters/postgres/server-databases.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { prefixedLog } from '../../../src/core/broker/prefixed-log.ts'
import type { Stack } from '../../../src/faces/stack/stack.ts'
import { type ServiceName, services } from './services.ts'

export const topics = [
  'orders',
  'demand',
  'orders.commands',
  'orders.replies',
  'stock.commands',
  'stock.replies',
  'payments.commands',
  'payments.replies',
]
export const PARTITIONS = 4

/** The databases and topics of one run of the demo, all under a prefix of its own. */
export class World {
  readonly #stack: Stack
  readonly #prefix = `demo_${randomBytes(4).toString('hex')}_`
  readonly #memory: MemoryLog | undefined
  readonly log: LogDriver
  readonly #clients = new Map<ServiceName, Client>()

  constructor(stack: Stack) {
    this.#stack = stack
    this.#memory = stack.driver === 'memory' ? new MemoryLog() : undefined
    this.log =
      this.#memory === undefined
        ? prefixedLog(kafkajsLog({ brokers: stack.brokers, clientId: 'demo' }), this.#prefix)
        : this.#memory.driver()
  }

  /** Whether the services can be processes of their own. */
  get isReal(): boolean {
    return this.#memory === undefined
  }

  async create(): Promise<void> {
    for (const service of services) {
      const database = this.#prefix + service
      await createDatabase(this.#stack.databaseUrl, database)
      await migrate(this.#urlOf(service))
      const client = new Client(this.#urlOf(service))
      await client.connect()
      this.#clients.set(service, client)
    }
    await this.log.admin.createTopics(topics.map((name) => ({ name, partitions: PARTITIONS, replicationFactor: 1 })))
  }

  async destroy(): Promise<void> {
    await Promise.allSettled([...this.#clients.values()].map((client) => client.end()))
    await this.log.producer.stop(1_000)
    await this.log.admin.close()
    await dropDatabases(this.#stack.databaseUrl, this.#prefix)
  }

  environmentOf(service: ServiceName): Record<string, string> {
    return { ...this.#stack.environment(), KAFKA_PREFIX: this.#prefix, DATABASE_URL: this.#urlOf(service) }
  }

  optionsOf(service: ServiceName): Omit<BackboneOptions, 'service'> {
    const database = { connectionString: this.#urlOf(service) }
    const kafka: BackboneOptions['kafka'] =
      this.#memory === undefined
        ? { driver: 'kafkajs', brokers: [...this.#stack.brokers], prefix: this.#prefix }
        : { driver: 'memory', log: this.#memory }
    return { database, kafka, logger: false }
  }

  /** Asks a service's database, for the report. */
  async ask(service: ServiceName, sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = this.#clients.get(service)
    if (client === undefined) throw new Error(`The database of ${service} was not created.`)
    return (await client.query(sql, [...values])).rows
  }

  async count(service: ServiceName, sql: string): Promise<number> {
    const [row] = await this.ask(service, sql)
    return Number(Object.values(row ?? {})[0])
  }

  #urlOf(service: ServiceName): string {
    return this.#stack.databaseUrlOf(this.#prefix + service)
  }
}

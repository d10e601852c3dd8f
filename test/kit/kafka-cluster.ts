import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kafkaInstallation } from '../../src/faces/stack/kafka-installation.ts'
import { viewOf } from '../../src/faces/stack/kafka-metadata.ts'
import { type KafkaNode, type LocalKafka, startLocalKafka } from '../../src/faces/stack/local-kafka.ts'
import { Watchdog } from '../../src/faces/stack/watchdog.ts'
import { until } from './wait.ts'

export interface KafkaClusterOptions {
  readonly nodes: number
  readonly settings?: (node: KafkaNode) => readonly string[]
}

/** A cluster of the test's own, whose nodes may be killed, frozen, stopped and started again with their data. */
export class KafkaCluster {
  readonly #kafka: LocalKafka
  readonly #watchdog: Watchdog
  readonly #directory: string

  private constructor(kafka: LocalKafka, watchdog: Watchdog, directory: string) {
    this.#kafka = kafka
    this.#watchdog = watchdog
    this.#directory = directory
  }

  /** @returns what this machine lacks to run a cluster of its own; `undefined` when it lacks nothing */
  static async missing(): Promise<string | undefined> {
    const watchdog = new Watchdog()
    try {
      const installation = await kafkaInstallation({ watchdog, env: process.env, say: () => undefined })
      return 'classpath' in installation ? undefined : `${installation.what}; ${installation.remedy}`
    } finally {
      await watchdog.close()
    }
  }

  /** @throws Error this machine cannot run Kafka; the message says what is missing */
  static async start({ nodes, settings }: KafkaClusterOptions): Promise<KafkaCluster> {
    const watchdog = new Watchdog()
    const directory = mkdtempSync(join(tmpdir(), 'trunkline-cluster-'))
    watchdog.charge({ kind: 'path', path: directory })
    const installation = await kafkaInstallation({ watchdog, env: process.env, say: () => undefined })
    if (!('classpath' in installation)) throw new Error(`A private Kafka needs more: ${installation.what}; ${installation.remedy}`)
    const kafka = await startLocalKafka({ watchdog, installation }, { directory, keep: false, nodes, tuning: 'start', settings })
    return new KafkaCluster(kafka, watchdog, directory)
  }

  get brokers(): readonly string[] {
    return this.#kafka.brokers
  }

  get ids(): readonly number[] {
    return this.#kafka.brokers.map((_, index) => index + 1)
  }

  /** `SIGKILL`: a crash. `SIGTERM`: an orderly stop, which moves its leaders first. */
  async end(id: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    await this.#processOf(id).stop(signal)
  }

  /** The node hangs: its connections stay and nothing answers. */
  freeze(id: number): void {
    this.#signal(id, 'SIGSTOP')
  }

  thaw(id: number): void {
    this.#signal(id, 'SIGCONT')
  }

  async restart(id: number): Promise<void> {
    await this.#kafka.restartNode(id)
  }

  /** Resolves when every node answers and knows all the others. */
  async untilWhole(): Promise<void> {
    const addresses = this.brokers.map((broker) => Number(broker.split(':')[1]))
    for (const port of addresses) {
      await until(
        `the broker at port ${port} to know its cluster`,
        async () => {
          const view = await viewOf('127.0.0.1', port, 1_000)
          return view?.nodes.length === addresses.length
        },
        60_000,
      )
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of this.ids) this.thaw(id)
    await this.#kafka.stop()
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20 })
    await this.#watchdog.close()
  }

  #signal(id: number, signal: NodeJS.Signals): void {
    const { running, pid } = this.#processOf(id)
    if (running && pid !== undefined) process.kill(pid, signal)
  }

  #processOf(id: number) {
    const node = this.#kafka.processes[id - 1]
    if (node === undefined) throw new RangeError(`There is no node ${id}.`)
    return node
  }
}

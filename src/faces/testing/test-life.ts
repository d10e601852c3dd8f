import type { MemoryLog } from '../../adapters/memory/memory-log.ts'
import type { Backbone } from '../../backbone.ts'
import type { ParsedOptions } from '../../config.ts'
import type { Clock } from '../../foundation/clock.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import type { FaultPlan } from './fault-plan.ts'
import { TestProcess } from './test-process.ts'
import { TopicReader } from './topic-reader.ts'

/** A process that died is back after this, by the test's clock: longer than its heartbeat and its relay's lease last. */
const RESTART_MS = 1_500
const END_MS_MAX = 5_000
const FAILURES_KEPT = 20

export interface TestLifeParts {
  readonly clock: Clock
  readonly plan: FaultPlan
  readonly log: MemoryLog
  /** Lets so much time go by. */
  readonly pass: (ms: number) => Promise<void>
}

export interface TestLifeSettings {
  readonly register: readonly ((backbone: Backbone) => void)[]
  readonly partitions: number
}

/** The service under test, from process to process: it starts, crashes where the plan says, and starts again. */
export class TestLife {
  readonly reader: TopicReader
  readonly #parts: TestLifeParts
  readonly #settings: TestLifeSettings
  readonly #failures: string[] = []
  #process: TestProcess | undefined
  #recovering: Promise<void> | undefined

  constructor(parts: TestLifeParts, settings: TestLifeSettings) {
    this.#parts = parts
    this.#settings = settings
    this.reader = new TopicReader(parts.log)
  }

  get backbone(): Backbone {
    if (this.#process !== undefined) return this.#process.backbone
    throw new ConfigurationError('TEST_CLOSED', 'The test backbone does not run. Use it between "await testBackbone(…)" and "close()".')
  }

  /** What became of deliveries that failed, in words. */
  get failures(): readonly string[] {
    return this.#failures
  }

  /** Whether it is between two processes. */
  get isRecovering(): boolean {
    return this.#recovering !== undefined
  }

  /** @throws whatever a function of `register` or the start of the backbone threw */
  async start(options: ParsedOptions, databaseUrl: string): Promise<void> {
    await this.#launch(options, databaseUrl)
    await this.recovered()
  }

  crash(): void {
    this.#process?.crash()
  }

  /** Resolves when a process runs. @throws whatever kept it from starting again */
  async recovered(): Promise<void> {
    while (this.#recovering !== undefined) {
      const recovering = this.#recovering
      await recovering
      if (this.#recovering === recovering) this.#recovering = undefined
    }
  }

  /** A topic exists as soon as something is published to it. */
  watch(backbone: Backbone): Backbone {
    backbone.diagnostics.on(({ name, fields }) => {
      if (name === 'publish.appended' && 'topic' in fields) void this.reader.follow(fields.topic, this.#settings.partitions)
      if (name === 'delivery.failed' && 'reason' in fields && 'type' in fields && this.#failures.length < FAILURES_KEPT) {
        this.#failures.push(`${fields.type}: ${fields.reason}`)
      }
    })
    return backbone
  }

  async stop(): Promise<void> {
    this.#parts.plan.end()
    await this.recovered().catch(() => undefined)
    await Promise.all([this.#process?.end(), this.reader.stop()])
  }

  async #launch(options: ParsedOptions, databaseUrl: string): Promise<void> {
    const onCrash = (): void => {
      this.#recovering = this.#recover(process, options, databaseUrl)
      // Whoever waits for it hears of its failure; nobody may be waiting now.
      this.#recovering.catch(() => undefined)
    }
    const process: TestProcess = new TestProcess({ ...this.#parts, onCrash }, options, databaseUrl)
    this.#process = process
    const { backbone } = process
    this.watch(backbone).diagnostics.on(({ name, fields }) => this.#misbehave(name, fields))
    for (const register of this.#settings.register) register(backbone)
    try {
      // A dead one may ask for seconds what became of its last COMMIT; nobody waits for that.
      await Promise.race([backbone.start(), process.died])
    } catch (error) {
      if (!process.crashed) throw error
    }
    const topics = new Set(backbone.groups.flatMap((group) => group.topics))
    for (const topic of topics) await this.reader.follow(topic, this.#settings.partitions)
  }

  async #recover(dead: TestProcess, options: ParsedOptions, databaseUrl: string): Promise<void> {
    await endsWithin(dead.end(), END_MS_MAX)
    await this.#parts.pass(RESTART_MS)
    await this.#launch(options, databaseUrl)
  }

  #misbehave(name: string, fields: object): void {
    const { plan, log } = this.#parts
    if (name === 'delivery.started' && plan.strikes('rebalance', name)) log.faults.rebalance()
    if (name !== 'relay.sending' || !('topic' in fields)) return
    const topic = String(fields.topic)
    const place = `the sending to ${topic}`
    if (plan.strikes('duplicate', place)) log.faults.appendTwice({ topic })
    else if (plan.strikes('replyLost', place)) log.faults.loseReply({ topic, stored: plan.draw(`stored ${place}`) < 0.5 })
    else if (plan.strikes('delay', place)) log.faults.delayAppend({ topic, ms: 5 })
  }
}

import { afterEach, beforeEach } from 'vitest'
import type { LogConsumer } from '../../src/core/broker/log-consumer.ts'
import type { LogDriver } from '../../src/core/broker/log-driver.ts'
import type { RecordingListener } from './log-listener.ts'
import { type LogSubject, type OpenLog, soon, uniqueName } from './log-subject.ts'

/** Long enough for whatever ends at all. */
export const STOP_MS = 10_000

/** A log, opened before each test and closed after it, and consumers of one group on it. */
export class LogFixture {
  readonly #open: OpenLog
  #subject: LogSubject | undefined
  #driver: LogDriver | undefined
  #group = ''
  #consumers: LogConsumer[] = []

  constructor(open: OpenLog) {
    this.#open = open
    beforeEach(() => this.#begin())
    afterEach(() => this.#end())
  }

  get subject(): LogSubject {
    if (this.#subject === undefined) throw new Error('The log is open only while a test runs.')
    return this.#subject
  }

  get driver(): LogDriver {
    if (this.#driver === undefined) throw new Error('The log is open only while a test runs.')
    return this.#driver
  }

  /** A group of its own for each test. */
  get group(): string {
    return this.#group
  }

  /** A consumer that is stopped after the test. */
  consumer(topics: readonly string[], group: string = this.#group): LogConsumer {
    const consumer = this.driver.consumers.consumer(group, topics)
    this.#consumers.push(consumer)
    return consumer
  }

  async started(listener: RecordingListener, topics: readonly string[], group?: string): Promise<LogConsumer> {
    const consumer = this.consumer(topics, group)
    await consumer.start(listener, soon())
    return consumer
  }

  async #begin(): Promise<void> {
    this.#subject = await this.#open()
    this.#driver = this.#subject.driver()
    this.#group = uniqueName('group')
    this.#consumers = []
    await this.#driver.producer.start(soon())
  }

  async #end(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop(STOP_MS)))
    await this.driver.producer.stop(STOP_MS)
    await this.driver.admin.close()
    await this.subject.close()
  }
}

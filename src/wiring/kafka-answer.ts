import type { LogAdmin } from '../core/broker/log-admin.ts'
import { isTrunklineError } from '../foundation/errors.ts'
import { endsWithin } from '../foundation/service.ts'

const ANSWER_MS = 2_000

/** Whether Kafka answers, for whoever wonders why a consumer is no member of its group. One question at a time, however often it is asked. */
export class KafkaAnswer {
  readonly #admin: LogAdmin
  #asking: Promise<boolean> | undefined

  constructor(admin: LogAdmin) {
    this.#admin = admin
  }

  /** @returns `false` when nothing came within two seconds; a refusal is an answer */
  async comes(): Promise<boolean> {
    this.#asking ??= this.#ask()
    const asking = this.#asking
    return (await endsWithin(asking, ANSWER_MS)) && (await asking)
  }

  async #ask(): Promise<boolean> {
    try {
      await this.#admin.brokers()
      return true
    } catch (error) {
      return !(isTrunklineError(error) && error.name === 'TransientError')
    } finally {
      this.#asking = undefined
    }
  }
}

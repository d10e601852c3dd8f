import type { AppendOutcome, LogProducer, LogRecord, TopicPartition } from '../../../src/core/broker/log-producer.ts'
import { PermanentError, TransientError } from '../../../src/foundation/errors.ts'
import { readCounted } from '../../kit/checker.ts'

/** What happens to one batch: the broker gets it and the reply is lost, or it is refused, or it waits. */
export type Fault = 'lost reply' | 'lost request' | 'refused record' | 'refused topic' | 'refused cluster' | Promise<void>

/** Which fault, where there is one. `messages` are the names of the messages in the batch, as the kit counts them: key and version. */
export type FaultPlan = (target: TopicPartition, batch: number, messages: readonly string[]) => Fault | undefined

/** A real producer with faults in front of it, batch by batch. */
export class FaultyProducer implements LogProducer {
  readonly #real: LogProducer
  readonly #plan: FaultPlan
  /** What was asked of it, in order: the keys of each batch, and the names of its messages. */
  readonly batches: { readonly target: TopicPartition; readonly keys: readonly string[]; readonly messages: readonly string[] }[] = []

  constructor(real: LogProducer, plan: FaultPlan) {
    this.#real = real
    this.#plan = plan
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#real.start(signal)
  }

  async append(target: TopicPartition, records: readonly LogRecord[]): Promise<AppendOutcome> {
    const counted = records.map(({ value }) => readCounted(value))
    const messages = counted.map((message) => (message === undefined ? '?' : `${message.key}${message.version}`))
    this.batches.push({ target, keys: records.map(({ key }) => String(key)), messages })
    const fault = this.#plan(target, this.batches.length, messages)
    switch (fault) {
      case 'lost reply':
        await this.#real.append(target, records)
        return { status: 'unknown', reason: new TransientError('TEST', 'the reply was lost') }
      case 'lost request':
        return { status: 'unknown', reason: new TransientError('TEST', 'the request was lost') }
      case 'refused record':
        return { status: 'refused', scope: 'record', reason: new PermanentError('TEST', 'the record is refused') }
      case 'refused topic':
        return { status: 'refused', scope: 'topic', reason: new PermanentError('TEST', 'the topic may not be written') }
      case 'refused cluster':
        return { status: 'refused', scope: 'cluster', reason: new TransientError('TEST', 'nobody is there') }
      default:
        await fault
        return await this.#real.append(target, records)
    }
  }

  async stop(deadlineMs: number): Promise<void> {
    await this.#real.stop(deadlineMs)
  }
}

/** Replaces the producer by one with these faults, batch by batch. */
export function faults(plan: FaultPlan) {
  let made: FaultyProducer | undefined
  return {
    producer: (real: ConstructorParameters<typeof FaultyProducer>[0]) => {
      made = new FaultyProducer(real, plan)
      return made
    },
    batches: () => made?.batches ?? [],
  }
}

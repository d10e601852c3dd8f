import { isTrunklineError, type TrunklineError } from '../../foundation/errors.ts'
import { Loop, type Service } from '../../foundation/service.ts'
import type { LogAdmin } from '../broker/log-admin.ts'
import type {
  ConsumedBatch,
  ConsumedRecord,
  LogConsumer,
  LogConsumerFactory,
  LogConsumerListener,
  PartitionRange,
} from '../broker/log-consumer.ts'
import type { TopicPartition } from '../broker/log-producer.ts'
import type { WriterSchemas } from '../contract/writer-schemas.ts'
import { type DeliverParts, deliver } from './deliver.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import { MissingDefinitions } from './missing-definitions.ts'
import { takePartition } from './position.ts'
import { topicsOf } from './registry.ts'
import { routeRecord } from './route.ts'
import { keepUnreadable, parkUnknownSchema, passOver } from './set-aside.ts'
import type { Subscription } from './subscription.ts'

export interface ConsumerParts<Tx extends object> extends DeliverParts<Tx> {
  readonly log: LogConsumerFactory
  readonly admin: LogAdmin
  /** With a registry: the schemas behind its ids. Without one a value that names an id cannot be read. */
  readonly writerSchemas?: WriterSchemas | undefined
}

export interface ConsumerOptions<Tx> {
  readonly group: string
  /** By message name; one handler per name. */
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  readonly stopDeadlineMs: number
  /** The log is gone for good. */
  readonly onFailure: (error: unknown) => void
}

/**
 * One group's consumer in this process: takes batches from the log and settles them message by message.
 *
 * Whoever the log says owns a partition, the position row in the effects database decides who may apply.
 */
export class Consumer<Tx extends object> implements Service, LogConsumerListener {
  readonly #parts: ConsumerParts<Tx>
  readonly #options: ConsumerOptions<Tx>
  readonly #held = new Map<string, HeldPartition>()
  readonly #passedOver = new Set<string>()
  readonly #missing: MissingDefinitions
  readonly #log: LogConsumer
  readonly #joining: Loop

  constructor(parts: ConsumerParts<Tx>, options: ConsumerOptions<Tx>) {
    this.#parts = parts
    this.#options = options
    this.#missing = new MissingDefinitions(parts.incidents)
    this.#log = parts.log.consumer(options.group, topicsOf(options.subscriptions))
    this.#joining = new Loop(`consumer ${options.group}`, (signal) => this.#join(signal), { onFailure: options.onFailure })
  }

  get group(): string {
    return this.#options.group
  }

  /** Whether it is a member of its group. */
  get ready(): boolean {
    return this.#log.joined
  }

  /** Resolves at once; the group is joined when the log answers. */
  async start(): Promise<void> {
    await this.#joining.start()
  }

  async stop(): Promise<void> {
    await this.#joining.stop()
    await this.#log.stop(this.#options.stopDeadlineMs)
  }

  async #join(signal: AbortSignal): Promise<void> {
    const { parking, clock, diagnostics } = this.#parts
    const { group, subscriptions } = this.#options
    while (!signal.aborted) {
      try {
        // Before the first record is read: no other build may pass over what this one handles.
        await parking.registerHandled(group, [...subscriptions.keys()])
        await this.#log.start(this, signal)
        return
      } catch (error) {
        if (!isTrunklineError(error) || error.name !== 'TransientError') throw error
        diagnostics.emit('consumer.restarted', { group, reason: error.message })
        await clock.sleep(500, signal)
      }
    }
  }

  async onAssigned(partition: TopicPartition, range: PartitionRange): Promise<bigint> {
    const place = { group: this.#options.group, topic: partition.topic, partition: partition.partition }
    const held = await takePartition(this.#parts, place, range)
    this.#held.set(nameOf(partition), held)
    return held.next
  }

  onRevoked(partition: TopicPartition): void {
    this.#held.delete(nameOf(partition))
    this.#parts.diagnostics.emit('consumer.revoked', { group: this.#options.group, topic: partition.topic, partition: partition.partition })
  }

  async onTopicMissing(topic: string): Promise<void> {
    const { group } = this.#options
    await this.#parts.incidents.record({
      kind: 'topic_missing',
      subject: `${group} ${topic}`,
      message: `Group "${group}" is to read topic "${topic}", which does not exist or which it may not see. It reads its other topics, and this one when it is there: create it, or permit this service to read it.`,
      details: { group, topic },
    })
  }

  async onPartitionStuck({ topic, partition }: TopicPartition, reason: TrunklineError): Promise<void> {
    const { group } = this.#options
    await this.#parts.incidents.record({
      kind: 'partition_stuck',
      subject: `${group} ${topic}/${partition}`,
      message: reason.message,
      details: { group, topic, partition, code: reason.code },
    })
  }

  onFailure(error: unknown): void {
    this.#options.onFailure(error)
  }

  async onBatch(batch: ConsumedBatch, signal: AbortSignal): Promise<bigint> {
    const { diagnostics } = this.#parts
    const held = this.#held.get(nameOf(batch))
    const first = batch.records[0]?.offset ?? 0n
    if (held === undefined) return first
    try {
      for (const record of batch.records) {
        if (signal.aborted) break
        if (record.offset < held.next) continue
        if (record.offset > held.next) await this.#explainGap(held, record.offset)
        await this.#settle(held, record, signal)
      }
    } catch (error) {
      if (!signal.aborted) {
        if (isTrunklineError(error, 'POSITION_FENCED')) diagnostics.emit('consumer.fenced', { ...placeOf(held), position: held.next })
        // If it cannot be told now, the next try tells it.
        await this.#missing.tell(held.group, error).catch(() => undefined)
        throw error
      }
    }
    return held.next > first ? held.next : first
  }

  async #settle(held: HeldPartition, record: ConsumedRecord, signal: AbortSignal): Promise<void> {
    const { writerSchemas } = this.#parts
    const router = { subscriptions: this.#options.subscriptions, writerSchemas }
    let routed = routeRecord(record, held, router)
    while (routed.kind === 'schema needed') {
      // Before the transaction. A registry that does not answer pauses this partition, and no other.
      await writerSchemas?.load(routed.schemaId)
      if (signal.aborted) return
      routed = routeRecord(record, held, router)
    }
    switch (routed.kind) {
      case 'message':
        return deliver(this.#parts, held, record, routed, signal)
      case 'unreadable':
        return keepUnreadable(this.#parts, held, record, routed)
      case 'unknown schema':
        return parkUnknownSchema(this.#parts, held, record, routed)
      case 'unhandled': {
        const firstOfItsName = !this.#passedOver.has(routed.name) && this.#passedOver.size < 1_000
        await passOver(this.#parts, held, record, routed, firstOfItsName)
        this.#passedOver.add(routed.name)
      }
    }
  }

  /** Offsets may be missing for good reasons (compaction, transactions); records that retention took are an incident. */
  async #explainGap(held: HeldPartition, found: bigint): Promise<void> {
    const { earliest } = await this.#parts.admin.rangeOf(held)
    if (earliest <= held.next) return
    await this.#parts.incidents.record({
      kind: 'position_below_log_start',
      subject: `${held.group} ${held.topic}/${held.partition}`,
      message: `Retention removed offsets ${held.next} to ${earliest - 1n} of ${held.topic}/${held.partition} while group "${held.group}" was reading. It goes on at ${found}.`,
      details: { position: String(held.next), earliest: String(earliest), found: String(found) },
    })
  }
}

function nameOf(partition: TopicPartition): string {
  return `${partition.topic}/${partition.partition}`
}

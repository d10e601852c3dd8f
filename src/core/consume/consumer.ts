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
import { BatchSize } from './batch-size.ts'
import { judgeLeftovers, type Suspicion } from './crash-loop.ts'
import { type HeldPartition, placeOf } from './effect.ts'
import { explainGaps } from './gaps.ts'
import { type BatchRecord, inLane, sameMode } from './lanes.ts'
import { LetGo } from './let-go.ts'
import { settleEach } from './message-mode.ts'
import { MissingDefinitions } from './missing-definitions.ts'
import type { Pause } from './pause.ts'
import { type StartPolicy, takePartition } from './position.ts'
import type { GroupPartition, Position } from './position-store.ts'
import { batchLimitsOf, topicsOf } from './registry.ts'
import { type Router, routeRecord } from './route.ts'
import { RouteAhead } from './route-ahead.ts'
import { settleBatch } from './settle.ts'
import type { Subscription } from './subscription.ts'
import { markBegun, type SuspectParts, settleSuspect } from './suspects.ts'

export interface ConsumerParts<Tx extends object> extends SuspectParts<Tx> {
  readonly log: LogConsumerFactory
  readonly admin: LogAdmin
  /** What a person has paused. */
  readonly pause: Pause
  /** With a registry: the schemas behind its ids. Without one a value that names an id cannot be read. */
  readonly writerSchemas?: WriterSchemas | undefined
}

export interface ConsumerOptions<Tx> {
  readonly group: string
  /** By message name; one handler per name. */
  readonly subscriptions: ReadonlyMap<string, Subscription<Tx>>
  readonly start: Pick<StartPolicy, 'from' | 'onGap'>
  readonly stopDeadlineMs: number
  /** The log is gone for good. */
  readonly onFailure: (error: unknown) => void
}

/** How many messages the next batch of a partition takes, and what is known of them. */
interface Pace<Tx> {
  readonly size: BatchSize
  readonly ahead: RouteAhead<Tx>
}

/**
 * One group's consumer in this process: takes records from the log and settles them in batches.
 *
 * Whoever the log says owns a partition, the position row in the effects database decides who may apply.
 */
export class Consumer<Tx extends object> implements Service, LogConsumerListener {
  readonly #parts: ConsumerParts<Tx>
  readonly #options: ConsumerOptions<Tx>
  readonly #held = new Map<string, HeldPartition>()
  /** What is to be feared of partitions that a dead process had begun. */
  readonly #suspicions = new Map<string, Suspicion>()
  readonly #taking = new Map<string, AbortController>()
  readonly #busy = new Set<string>()
  readonly #letGo: LetGo<Tx>
  readonly #paces = new Map<string, Pace<Tx>>()
  readonly #router: Router<Tx>
  readonly #passedOver = new Set<string>()
  readonly #toldGaps = new Set<string>()
  readonly #missing: MissingDefinitions
  readonly #log: LogConsumer
  readonly #joining: Loop

  constructor(parts: ConsumerParts<Tx>, options: ConsumerOptions<Tx>) {
    this.#parts = parts
    this.#options = options
    this.#router = { subscriptions: options.subscriptions, writerSchemas: parts.writerSchemas }
    this.#letGo = new LetGo(parts)
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
    await this.#letGo.stop()
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
    const { group, start } = this.#options
    const place = { group, topic: partition.topic, partition: partition.partition }
    await this.#letGo.end(place)
    const position = await takePartition(this.#parts, place, range, { ...start, told: this.#toldGaps })
    this.#suspicions.set(nameOf(partition), await this.#judge(place, position))
    const { epoch, nextOffset: next } = position
    this.#held.set(nameOf(partition), { ...place, epoch, next, caution: 0, narrow: 0, traces: 0, passedOver: this.#passedOver })
    return next
  }

  /** It may have to wait for the former owner; a partition that is revoked meanwhile is not waited for. */
  async #judge(place: GroupPartition, position: Position): Promise<Suspicion> {
    const taking = new AbortController()
    this.#taking.set(nameOf(place), taking)
    return await judgeLeftovers(this.#parts, place, position, taking.signal)
  }

  onRevoked(partition: TopicPartition): void {
    const held = this.#held.get(nameOf(partition))
    this.#taking.get(nameOf(partition))?.abort()
    this.#held.delete(nameOf(partition))
    this.#paces.get(nameOf(partition))?.ahead.end()
    // A batch that runs lets go when it has ended.
    if (held !== undefined && !this.#busy.has(nameOf(partition))) this.#letGo.of(held)
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
    const next = await this.#parts.pause.run(this.#options.group, signal, () => this.#take(batch, signal))
    return next ?? batch.records[0]?.offset ?? 0n
  }

  async #take(batch: ConsumedBatch, signal: AbortSignal): Promise<bigint> {
    const { diagnostics } = this.#parts
    const held = this.#held.get(nameOf(batch))
    const first = batch.records[0]?.offset ?? 0n
    if (held === undefined) return first
    this.#busy.add(nameOf(batch))
    try {
      await this.#settle(held, batch.records, signal)
    } catch (error) {
      if (!signal.aborted) {
        if (isTrunklineError(error, 'POSITION_FENCED')) diagnostics.emit('consumer.fenced', { ...placeOf(held), position: held.next })
        // If it cannot be told now, the next try tells it.
        await this.#missing.tell(held.group, error).catch(() => undefined)
        throw error
      }
    } finally {
      this.#busy.delete(nameOf(batch))
      if (signal.aborted) this.#letGo.of(held)
    }
    return held.next > first ? held.next : first
  }

  async #settle(held: HeldPartition, records: readonly ConsumedRecord[], signal: AbortSignal): Promise<void> {
    const { suspectTo, charged } = this.#suspicions.get(nameOf(held)) ?? {}
    if (suspectTo !== undefined && held.next < suspectTo) {
      const [each] = await this.#route(held, firstOf(records, held.next, 1), signal)
      if (each !== undefined) await settleSuspect(this.#parts, held, each, charged, signal)
      return
    }
    await this.#parts.solitude.together(() => this.#settleBeginning(held, records, signal))
  }

  /** Settles a beginning of the records: as many as fit into one batch, of one mode. The reader gives the rest again. */
  async #settleBeginning(held: HeldPartition, records: readonly ConsumedRecord[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts
    const { size } = this.#paceOf(held)
    const due = firstOf(records, held.next, size.next)
    const { batch, mode } = sameMode(await this.#route(held, due, signal))
    const last = batch.at(-1)
    if (last === undefined) return
    this.#lookAhead(held, records, due, size.next)
    const begun = clock.monotonic()
    const mark = { started: { to: last.record.offset + 1n, by: this.#parts.processId }, isNoted: false }
    // Where each commits for itself, what has begun is noted once for all.
    if (mode === 'message') await markBegun(this.#parts, held, [last.record], false)
    const settled =
      mode === 'batch'
        ? await settleBatch(this.#parts, held, batch, mode, signal, { mark })
        : await settleEach(this.#parts, held, batch, signal)
    size.settled(settled.messages, clock.monotonic() - begun, settled)
  }

  /** While the batch waits for the database, the records of the next one are decoded. */
  #lookAhead(held: HeldPartition, records: readonly ConsumedRecord[], due: readonly ConsumedRecord[], size: number): void {
    const next = firstOf(records, (due.at(-1)?.offset ?? held.next) + 1n, size)
    this.#paceOf(held).ahead.begin(next, (record) => {
      const routed = routeRecord(record, held, this.#router)
      return routed.kind === 'message' ? inLane(record, routed) : undefined
    })
  }

  /**
   * What each record is, before any transaction.
   *
   * @returns fewer records than given where the registry has to be asked and does not answer: what stands before goes on
   * @throws as `WriterSchemas.load`: it is the first record that the registry is asked for, and the partition pauses
   */
  async #route(held: HeldPartition, records: readonly ConsumedRecord[], signal: AbortSignal): Promise<readonly BatchRecord<Tx>[]> {
    await explainGaps(this.#parts, held, records)
    const { writerSchemas } = this.#parts
    const { ahead } = this.#paceOf(held)
    const batch: BatchRecord<Tx>[] = []
    for (const record of records) {
      const known = ahead.take(record)
      if (known !== undefined) {
        batch.push(known)
        continue
      }
      let routed = routeRecord(record, held, this.#router)
      while (routed.kind === 'schema needed') {
        if (signal.aborted) return batch
        try {
          await writerSchemas?.load(routed.schemaId)
        } catch (error) {
          if (batch.length === 0) throw error
          return batch
        }
        routed = routeRecord(record, held, this.#router)
      }
      batch.push(inLane(record, routed))
    }
    return batch
  }

  #paceOf(held: HeldPartition): Pace<Tx> {
    const name = nameOf(held)
    const known = this.#paces.get(name)
    if (known !== undefined) return known
    const pace = { size: new BatchSize(batchLimitsOf(this.#options.subscriptions, held.topic)), ahead: new RouteAhead<Tx>() }
    this.#paces.set(name, pace)
    return pace
  }
}

/** @returns at most `size` records from an offset on */
function firstOf(records: readonly ConsumedRecord[], from: bigint, size: number): readonly ConsumedRecord[] {
  const at = records.findIndex(({ offset }) => offset >= from)
  return at < 0 ? [] : records.slice(at, at + size)
}

function nameOf(partition: TopicPartition): string {
  return `${partition.topic}/${partition.partition}`
}

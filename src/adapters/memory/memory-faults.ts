import type { TopicPartition } from '../../core/broker/log-producer.ts'
import { SeededRandom } from './seeded-random.ts'

/** What can go wrong in a log in memory, as it does between a client and Kafka. */
export type MemoryFault = 'replyLost' | 'appendTwice' | 'appendDelayed' | 'leaderLost' | 'rebalance'

/** How often what goes wrong, for each append a chance from 0 (never, the default) to 1. */
export interface FaultChances {
  /** The outcome is unknown. In half of the cases the batch is in the log, in half it is not. */
  readonly replyLost?: number
  /** The batch is in the log twice, one copy behind the other. */
  readonly appendTwice?: number
  /** The append takes its time, up to `delayMaxMs`. */
  readonly appendDelayed?: number
  /** The partition has no leader for up to `leaderlessMaxMs`: appends are refused, reads wait. */
  readonly leaderLost?: number
  /** All groups deal their partitions out anew. */
  readonly rebalance?: number
  /** Default 50. */
  readonly delayMaxMs?: number
  /** Default 200. */
  readonly leaderlessMaxMs?: number
}

/** What is to befall one append. */
export interface AppendFault {
  readonly delayMs: number
  /** How many copies are stored. */
  readonly copies: 0 | 1 | 2
  readonly isReplyLost: boolean
}

/** What the faults act on; a log in memory is one. */
export interface FaultyLog {
  rebalance(group: string | undefined): void
  loseLeader(partition: TopicPartition, forMs: number): void
  cutOff(group: string): () => void
}

interface Ordered {
  readonly topic: string | undefined
  readonly fault: Partial<AppendFault>
  readonly name: MemoryFault
}

/** Orders that wait for an append that never comes are a mistake of the test. */
const ORDERS_MAX = 10_000
const NO_FAULT: AppendFault = { delayMs: 0, copies: 1, isReplyLost: false }

/**
 * Faults of a log in memory: on order, or by chance from a seed.
 *
 * ```ts
 * const log = new MemoryLog({ clock })
 * log.faults.loseReply({ topic: 'orders', stored: true })  // the next append to it: stored, but nobody is told
 * log.faults.byChance({ replyLost: 0.05, rebalance: 0.01 }, 42)   // from now on, the same for the same seed
 * expect(log.faults.fired.replyLost).toBeGreaterThan(0)    // a test whose fault never came has tested nothing
 * ```
 *
 * Everything that takes time takes it from the log's clock. Whatever goes wrong, stored records keep their order and
 * bytes: only appends interleave, repeat or fail.
 */
export class MemoryFaults {
  readonly #log: FaultyLog
  readonly #orders: Ordered[] = []
  readonly #fired: Record<MemoryFault, number> = { replyLost: 0, appendTwice: 0, appendDelayed: 0, leaderLost: 0, rebalance: 0 }
  #chances: FaultChances = {}
  #random = new SeededRandom(0)

  constructor(log: FaultyLog) {
    this.#log = log
  }

  /** How often each fault came true. */
  get fired(): Readonly<Record<MemoryFault, number>> {
    return { ...this.#fired }
  }

  /** From now on faults come by chance; the same seed and the same order of appends give the same faults. `{}` ends it. */
  byChance(chances: FaultChances, seed: number): void {
    this.#chances = chances
    this.#random = new SeededRandom(seed)
  }

  /** The outcome of the next append (to the topic, if one is named) is unknown; `stored` says whether the batch is in the log. Default: it is. */
  loseReply(next: { readonly topic?: string; readonly stored?: boolean } = {}): void {
    this.#order('replyLost', next.topic, { isReplyLost: true, copies: next.stored === false ? 0 : 1 })
  }

  /** The next append (to the topic, if one is named) is stored twice and acknowledged once. */
  appendTwice(next: { readonly topic?: string } = {}): void {
    this.#order('appendTwice', next.topic, { copies: 2 })
  }

  /** The next append (to the topic, if one is named) is stored and acknowledged after so long; others overtake it. */
  delayAppend(next: { readonly topic?: string; readonly ms: number }): void {
    this.#order('appendDelayed', next.topic, { delayMs: next.ms })
  }

  /** The partition has no leader for so long: appends are refused as Kafka does (scope `cluster`), reads and questions wait or fail. */
  loseLeader(partition: TopicPartition, forMs: number): void {
    this.#fired.leaderLost += 1
    this.#log.loseLeader(partition, forMs)
  }

  /** The group, or every group, deals its partitions out anew: assignments end, signals abort, members are assigned again. */
  rebalance(group?: string): void {
    this.#fired.rebalance += 1
    this.#log.rebalance(group)
  }

  /**
   * The group hears nothing more of its oldest member, and gives its partitions to the others. The member does not
   * know: it goes on reading and handling what it has, as a zombie. What it commits is refused.
   *
   * @returns lets the member hear of it: its assignments end, and it joins again
   */
  cutOff(group: string): () => void {
    this.#fired.rebalance += 1
    return this.#log.cutOff(group)
  }

  /** Asked once for each append, in the order of appends. */
  ofAppend(target: TopicPartition): AppendFault {
    const ordered = this.#orders.findIndex(({ topic }) => topic === undefined || topic === target.topic)
    const [order] = ordered < 0 ? [] : this.#orders.splice(ordered, 1)
    if (order !== undefined) {
      this.#fired[order.name] += 1
      return { ...NO_FAULT, ...order.fault }
    }
    return this.#chance(target)
  }

  #order(name: MemoryFault, topic: string | undefined, fault: Partial<AppendFault>): void {
    if (this.#orders.length >= ORDERS_MAX) throw new RangeError(`${ORDERS_MAX} faults wait for appends that do not come.`)
    this.#orders.push({ name, topic, fault })
  }

  /** Every chance is asked for each time, so that one fault more does not move all others. */
  #chance(target: TopicPartition): AppendFault {
    const { replyLost = 0, appendTwice = 0, appendDelayed = 0, leaderLost = 0, rebalance = 0 } = this.#chances
    const { delayMaxMs = 50, leaderlessMaxMs = 200 } = this.#chances
    const random = this.#random
    const isReplyLost = this.#count('replyLost', random.happens(replyLost))
    const isStored = random.happens(0.5)
    const isTwice = this.#count('appendTwice', random.happens(appendTwice))
    const isDelayed = this.#count('appendDelayed', random.happens(appendDelayed))
    const delayMs = random.upTo(delayMaxMs)
    const isLeaderLost = random.happens(leaderLost)
    const leaderlessMs = random.upTo(leaderlessMaxMs)
    const isRebalance = random.happens(rebalance)
    if (isLeaderLost) this.loseLeader(target, leaderlessMs)
    if (isRebalance) this.rebalance()
    const copies = isTwice ? 2 : 1
    return { delayMs: isDelayed ? delayMs : 0, copies: isReplyLost && !isStored ? 0 : copies, isReplyLost }
  }

  #count(name: MemoryFault, happens: boolean): boolean {
    if (happens) this.#fired[name] += 1
    return happens
  }
}

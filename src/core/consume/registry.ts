import { z } from 'zod'
import { duration } from '../../foundation/duration.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import type { AnyContract } from '../contract/contract.ts'
import type { BatchLimits } from './batch-size.ts'
import { retryOptions, retryPolicy } from './policies/retry-policy.ts'
import type { AnyHandler, Subscription, SubscriptionPolicy } from './subscription.ts'

const BATCH_SIZE_MAX = 5_000
const BATCH_LATENCY_MS_MAX = 10_000

export const subscriptionOptions = z.strictObject({
  retry: retryOptions.prefault({}),
  /**
   * What a message does to its key when its attempts are used up: 'hold' keeps the later ones waiting behind it until a
   * person acts, 'skip' lets them flow, and gives up their order with it. Default 'hold'.
   */
  onExhausted: z.enum(['hold', 'skip']).default('hold'),
  /** How long a handler may take. Default '30s'. */
  timeout: duration({ min: '10ms', max: '10m' }).prefault('30s'),
  /**
   * Whether a message must keep the rules of its fields (`x-min`, `x-pattern`, …), those of the version subscribed, to reach
   * the handler. One that does not is a dead letter whose reason names the path. Default false: rules hold where a message is
   * made, and its schema is checked in any case.
   */
  checkRules: z.boolean().default(false),
  /**
   * 'batch': a partition's messages share transactions, which is several times faster; a handler sees what those before
   * it did. 'message': each has one of its own, and keys run side by side. Default 'batch'; 'message' where transactions
   * are an ORM's.
   */
  transaction: z.enum(['batch', 'message']).optional(),
  /**
   * Whether handlers of one batch run side by side in its transaction, a key's still one by one. Only where every effect
   * is one statement that needs no other, or touches its own key's rows alone. Default false.
   */
  interleave: z.boolean().default(false),
  /** 'per-key': a key's messages wait for each other, also while one is retried. 'none': each stands alone. Default 'per-key'. */
  order: z.enum(['per-key', 'none']).default('per-key'),
  batch: z
    .strictObject({
      /** Messages per transaction at most, 1–5 000. Default 500. */
      size: z.int().min(1).max(5_000).default(500),
      /** How long a batch should take; it holds fewer messages where handlers are slow, '1ms'–'10s'. Default '200ms'. */
      latency: duration({ min: '1ms', max: '10s' }).prefault('200ms'),
    })
    .prefault({}),
})
export type SubscriptionOptions = z.input<typeof subscriptionOptions>

export const groupOptions = z.strictObject({
  /** Where the group begins on a partition that it has never read: 'earliest' or 'latest'. Resolved once, and stored. Default 'earliest'. */
  from: z.enum(['earliest', 'latest']).default('earliest'),
  /**
   * What happens when records are gone that the group has not read (retention, a topic made anew): 'earliest' goes on with
   * the first that is there, 'stop' waits for a person. An incident names the lost range either way. Default 'earliest'.
   */
  onGap: z.enum(['earliest', 'stop']).default('earliest'),
})
export type GroupOptions = z.input<typeof groupOptions>
export type GroupStart = z.output<typeof groupOptions>

/** Between the end of a handler's time and the end of the server's patience. */
const TIMEOUT_MARGIN_MS = 500

/** Who handles what: groups, and in each group one handler per message name. */
export class SubscriptionRegistry<Tx> {
  readonly #groups = new Map<string, Map<string, Subscription<Tx>>>()
  readonly #starts = new Map<string, GroupStart>()
  readonly #timeoutMsMax: number
  readonly #sharesTransactions: boolean

  /**
   * @param idleInTransactionMs after which the server ends a transaction that waits; a handler must give up before
   * @param sharesTransactions whether several messages can share a transaction: an ORM's cannot
   */
  constructor(idleInTransactionMs: number, sharesTransactions = true) {
    this.#timeoutMsMax = idleInTransactionMs - TIMEOUT_MARGIN_MS
    this.#sharesTransactions = sharesTransactions
  }

  /** @throws ConfigurationError `HANDLER_DUPLICATE`, `OPTION_INVALID` */
  add(group: string, contracts: readonly AnyContract[], handler: AnyHandler<Tx>, options: SubscriptionOptions = {}): void {
    const where = `subscribe(${contracts.map((contract) => contract.definition.name).join(', ')})`
    const parsed = parseOptions(subscriptionOptions, options, where)
    const { timeout } = parsed
    if (timeout > this.#timeoutMsMax) throw timeoutTooLong(where, timeout, this.#timeoutMsMax)
    const subscriptions = this.#groups.get(group) ?? new Map<string, Subscription<Tx>>()
    for (const contract of contracts) {
      const { name } = contract.definition
      if (subscriptions.has(name)) {
        throw new ConfigurationError(
          'HANDLER_DUPLICATE',
          `Group "${group}" already has a handler for ${name}. Do both things in one handler, or use backbone.group(name) for a second, independent reaction.`,
          { group, name },
        )
      }
      subscriptions.set(name, { contract, handler, policy: this.#policyOf(parsed, where) })
    }
    this.#groups.set(group, subscriptions)
  }

  #policyOf(options: z.output<typeof subscriptionOptions>, where: string): SubscriptionPolicy {
    const transaction = options.transaction ?? (this.#sharesTransactions ? 'batch' : 'message')
    if (transaction === 'batch' && !this.#sharesTransactions) throw transactionNotShared(where)
    if (transaction === 'message' && options.interleave) throw interleaveWithoutBatch(where)
    return {
      retry: retryPolicy(options.retry),
      onExhausted: options.onExhausted,
      timeoutMs: options.timeout,
      checksRules: options.checkRules,
      transaction,
      interleaves: options.interleave,
      ordered: options.order === 'per-key',
      batchSizeMax: options.batch.size,
      batchLatencyMs: options.batch.latency,
    }
  }

  /** Whether somebody has named the group. */
  has(group: string): boolean {
    return this.#groups.has(group) || this.#starts.has(group)
  }

  /** Says how a group begins. @throws ConfigurationError `OPTION_INVALID`; `GROUP_TWICE`: it was said otherwise before */
  startGroup(group: string, options: GroupOptions): void {
    const start = parseOptions(groupOptions, options, `group('${group}')`)
    const said = this.#starts.get(group)
    if (said !== undefined && (said.from !== start.from || said.onGap !== start.onGap)) throw groupTwice(group)
    this.#starts.set(group, start)
  }

  groups(): { group: string; subscriptions: ReadonlyMap<string, Subscription<Tx>>; start: GroupStart }[] {
    const standard = groupOptions.parse({})
    return [...this.#groups].map(([group, subscriptions]) => ({ group, subscriptions, start: this.#starts.get(group) ?? standard }))
  }

  /** Every reply that a handler may return. */
  replies(): AnyContract[] {
    const contracts = [...this.#groups.values()].flatMap((subscriptions) => [...subscriptions.values()].map(({ contract }) => contract))
    return contracts.flatMap(({ definition }) => definition.replyContracts?.() ?? [])
  }

  /** Every topic that some group reads. */
  topics(): string[] {
    return [...new Set([...this.#groups.values()].flatMap(topicsOf))]
  }
}

/**
 * The server would end the transaction first, which looks like a lost database: the message would run again for
 * ever, and no attempt would be counted.
 */
function timeoutTooLong(where: string, timeoutMs: number, maxMs: number): ConfigurationError {
  return new ConfigurationError(
    'TIMEOUT_TOO_LONG',
    `${where}: a timeout of ${timeoutMs} ms is longer than a transaction may wait (idleInTransaction less ${TIMEOUT_MARGIN_MS} ms: ${maxMs} ms). Raise idleInTransaction in createBackbone, or lower the timeout.`,
    { timeoutMs, maxMs },
  )
}

function groupTwice(group: string): ConfigurationError {
  return new ConfigurationError(
    'GROUP_TWICE',
    `Group "${group}" was named before with another "from" or "onGap". Keep what backbone.group returned, or say the same each time.`,
    { group },
  )
}

function transactionNotShared(where: string): ConfigurationError {
  return new ConfigurationError(
    'TRANSACTION_NOT_SHARED',
    `${where}: "transaction: 'batch'" needs a database by connectionString or pool; an ORM's transaction holds one message. Leave the option out, or write 'message'.`,
  )
}

function interleaveWithoutBatch(where: string): ConfigurationError {
  return new ConfigurationError(
    'INTERLEAVE_WITHOUT_BATCH',
    `${where}: "interleave" is about the messages that share a transaction, and "transaction: 'message'" lets none do so; keys run side by side there in any case. Leave one of them out.`,
  )
}

/** For a topic whose messages have several subscriptions, the smallest of their limits. */
export function batchLimitsOf<Tx>(subscriptions: ReadonlyMap<string, Subscription<Tx>>, topic: string): BatchLimits {
  const policies = [...subscriptions.values()].filter(({ contract }) => contract.definition.topic === topic).map(({ policy }) => policy)
  return {
    sizeMax: Math.min(BATCH_SIZE_MAX, ...policies.map(({ batchSizeMax }) => batchSizeMax)),
    latencyMs: Math.min(BATCH_LATENCY_MS_MAX, ...policies.map(({ batchLatencyMs }) => batchLatencyMs)),
  }
}

/** The topics to read for these subscriptions; the spine's own replies come on the topics of the others. */
export function topicsOf<Tx>(subscriptions: ReadonlyMap<string, Subscription<Tx>>): string[] {
  const topics = [...subscriptions.values()].map((subscription) => subscription.contract.definition.topic)
  return [...new Set(topics)].filter((topic) => topic !== '')
}

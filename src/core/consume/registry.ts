import { z } from 'zod'
import { duration } from '../../foundation/duration.ts'
import { ConfigurationError } from '../../foundation/errors.ts'
import { parseOptions } from '../../foundation/options.ts'
import type { AnyContract } from '../contract/contract.ts'
import type { AnyHandler, Subscription } from './subscription.ts'

export const subscriptionOptions = z.strictObject({
  retry: z
    .strictObject({
      /** How often a failed message runs again at once before it becomes a dead letter, 0–20. Default 2. */
      inline: z.int().min(0).max(20).default(2),
    })
    .prefault({}),
  /** How long a handler may take. Default '30s'. */
  timeout: duration({ min: '10ms', max: '10m' }).prefault('30s'),
  /**
   * Whether a message must keep the rules of its fields (`x-min`, `x-pattern`, …), those of the version subscribed, to reach
   * the handler. One that does not is a dead letter whose reason names the path. Default false: rules hold where a message is
   * made, and its schema is checked in any case.
   */
  checkRules: z.boolean().default(false),
})
export type SubscriptionOptions = z.input<typeof subscriptionOptions>

/** Between the end of a handler's time and the end of the server's patience. */
const TIMEOUT_MARGIN_MS = 500

/** Who handles what: groups, and in each group one handler per message name. */
export class SubscriptionRegistry<Tx> {
  readonly #groups = new Map<string, Map<string, Subscription<Tx>>>()
  readonly #timeoutMsMax: number

  /** @param idleInTransactionMs after which the server ends a transaction that waits; a handler must give up before */
  constructor(idleInTransactionMs: number) {
    this.#timeoutMsMax = idleInTransactionMs - TIMEOUT_MARGIN_MS
  }

  /** @throws ConfigurationError `HANDLER_DUPLICATE`, `OPTION_INVALID` */
  add(group: string, contracts: readonly AnyContract[], handler: AnyHandler<Tx>, options: SubscriptionOptions = {}): void {
    const where = `subscribe(${contracts.map((contract) => contract.definition.name).join(', ')})`
    const { retry, timeout, checkRules } = parseOptions(subscriptionOptions, options, where)
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
      subscriptions.set(name, { contract, handler, policy: { inlineRetries: retry.inline, timeoutMs: timeout, checksRules: checkRules } })
    }
    this.#groups.set(group, subscriptions)
  }

  has(group: string): boolean {
    return this.#groups.has(group)
  }

  groups(): { group: string; subscriptions: ReadonlyMap<string, Subscription<Tx>> }[] {
    return [...this.#groups].map(([group, subscriptions]) => ({ group, subscriptions }))
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

/** The topics to read for these subscriptions; the spine's own replies come on the topics of the others. */
export function topicsOf<Tx>(subscriptions: ReadonlyMap<string, Subscription<Tx>>): string[] {
  const topics = [...subscriptions.values()].map((subscription) => subscription.contract.definition.topic)
  return [...new Set(topics)].filter((topic) => topic !== '')
}

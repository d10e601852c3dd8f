import type { AnyContract, Message, Outgoing } from '../contract/contract.ts'
import type { Logger } from '../logger.ts'
import type { RetryPolicy } from './policies/retry-policy.ts'

export interface PublishOptions {
  /** CloudEvents extensions: names of 1–20 lower-case letters and digits, values up to 256 bytes. */
  readonly attributes?: Readonly<Record<string, string>>
  /** Ties messages of one business process together. Default: that of the message being handled, or the new message's own id. */
  readonly correlationId?: string
  /** Sent at this time, or up to a second later, at most 366 days ahead. Its place in the order of its key counts from then. Default: at once. */
  readonly notBefore?: Date
}

/** One message handed to one handler. */
export interface Delivery<Tx> {
  /** The transaction that also holds the position, the inbox row and what is published: all or nothing. */
  readonly tx: Tx
  /** Publishes with this transaction's commit; correlation and causation are set. */
  readonly publish: (message: Outgoing | readonly Outgoing[], options?: PublishOptions) => void
  /** Counts from 1: recorded failures + 1. */
  readonly attempt: number
  /** Aborts when the partition is revoked, the handler's time is over, or the service stops. */
  readonly signal: AbortSignal
  /** The same for every attempt and every redelivery of this message in this group: give it to systems outside the database. */
  readonly idempotencyKey: string
  readonly log: Logger
}

/**
 * Reacts to one message. It may run again although it succeeded: then its transaction is rolled back.
 *
 * @returns nothing for an event; for a command, one of its contract's replies
 */
export type Handler<C extends AnyContract, Tx> = (message: C['message'], delivery: Delivery<Tx>) => Promise<C['reply']>

/** A handler whose contract's types were checked where it was registered. */
export type AnyHandler<Tx> = (message: Message, delivery: Delivery<Tx>) => Promise<unknown>

export interface Subscription<Tx> {
  readonly contract: AnyContract
  readonly handler: AnyHandler<Tx>
  readonly policy: SubscriptionPolicy
}

/** What was decided for one subscription, with every default filled in. */
export interface SubscriptionPolicy {
  /** When a message that failed runs again. */
  readonly retry: RetryPolicy
  /** Whether a dead message holds its key until a person acts, or its later ones flow. */
  readonly onExhausted: 'hold' | 'skip'
  readonly timeoutMs: number
  /** Whether messages share a transaction, or each has one of its own. */
  readonly transaction: 'batch' | 'message'
  /** Whether handlers of one batch may run side by side, a key's one by one. */
  readonly interleaves: boolean
  /** Whether a key's messages wait for each other. */
  readonly ordered: boolean
  readonly batchSizeMax: number
  readonly batchLatencyMs: number
  /** Whether a message must keep the rules of its fields to reach the handler. */
  readonly checksRules: boolean
}

import type { Outgoing } from '../contract/contract.ts'

/** A message on its way into the outbox, with what only the spine decides. */
export interface Publication {
  readonly message: Outgoing
  /** CloudEvents extensions that travel with it. */
  readonly attributes?: Readonly<Record<string, string>>
  /** The record's key where it is not the contract's key field: a reply is keyed by its saga. */
  readonly key?: string
  /** The topic where the contract does not say it: the guard's own answers go where the command's replies go. */
  readonly topic?: string
  readonly correlationId?: string
  readonly causationId?: string
  /** Kept until then; its order counts from the moment when it is due. */
  readonly notBefore?: Date
}

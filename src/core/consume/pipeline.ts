import { PermanentError } from '../../foundation/errors.ts'
import { nameId } from '../../foundation/ids.ts'
import type { Message, Outgoing } from '../contract/contract.ts'
import type { Logger } from '../logger.ts'
import type { Publication } from '../outbox/publication.ts'
import type { Publisher } from '../outbox/publish.ts'
import { guardCommand } from '../saga/participant-guard.ts'
import type { ParticipantStore } from '../saga/participant-store.ts'
import { checkRules } from './check-rules.ts'
import { type Incoming, type Middleware, runInside } from './middleware.ts'
import { toPublications } from './outgoing.ts'
import type { PublishOptions, Subscription } from './subscription.ts'
import { TimeLimit } from './time-limit.ts'

export interface PipelineParts<Tx extends object> {
  readonly publisher: Publisher<Tx>
  readonly participants: ParticipantStore<Tx>
  readonly logger: Logger
  /** Around every handler, the first one outermost. */
  readonly middlewares: readonly Middleware<Tx>[]
}

/** One message on its way to its handler. */
export interface Run<Tx> {
  readonly tx: Tx
  readonly group: string
  readonly inboxId: string
  readonly message: Message
  readonly subscription: Subscription<Tx>
  readonly attempt: number
  readonly signal: AbortSignal
}

/**
 * Runs one message in the transaction at hand: check its rules where the subscription asks, guard a saga's command, limit the
 * time, run the handler inside the middlewares, publish the reply.
 *
 * Every message goes through here, so what only hands a promise on is no function with `async`: each costs a microsecond.
 *
 * @throws whatever the handler threw, at once or from the promise; the transaction must be rolled back
 */
export function runHandler<Tx extends object>(parts: PipelineParts<Tx>, run: Run<Tx>): Promise<unknown> {
  if (run.subscription.policy.checksRules) checkRules(run.message, run.subscription.contract.definition)
  return run.subscription.contract.definition.kind === 'command' ? runCommand(parts, run) : handle(parts, run)
}

async function runCommand<Tx extends object>(parts: PipelineParts<Tx>, run: Run<Tx>): Promise<void> {
  const answer = async (): Promise<Publication> => replyTo(run, await handle(parts, run))
  const isSagas = run.message.attributes['commandid'] !== undefined
  const reply = isSagas ? await guardCommand(parts, run.tx, run.message, run.subscription.contract.definition, answer) : await answer()
  await parts.publisher.publish(run.tx, [reply])
}

function handle<Tx extends object>(parts: PipelineParts<Tx>, run: Run<Tx>): Promise<unknown> {
  const { handler, policy } = run.subscription
  const time = new TimeLimit(policy.timeoutMs, run.signal)
  const delivery = new OpenDelivery(parts, run, time)
  return time.limit(
    () => runInside(parts.middlewares, delivery, () => handler(run.message, delivery)),
    () => delivery.close(),
  )
}

class OpenDelivery<Tx extends object> implements Incoming<Tx> {
  readonly tx: Tx
  readonly group: string
  readonly message: Message
  readonly attempt: number
  readonly #time: TimeLimit
  readonly #parts: PipelineParts<Tx>
  readonly #run: Run<Tx>
  #open = true

  constructor(parts: PipelineParts<Tx>, run: Run<Tx>, time: TimeLimit) {
    this.tx = run.tx
    this.group = run.group
    this.message = run.message
    this.attempt = run.attempt
    this.#time = time
    this.#parts = parts
    this.#run = run
  }

  get signal(): AbortSignal {
    return this.#time.signal
  }

  get idempotencyKey(): string {
    return nameId(this.#run.group, this.#run.inboxId)
  }

  get log(): Logger {
    const { message, group } = this
    return this.#parts.logger.child({ group, type: message.type, id: message.id, correlationId: message.correlationId })
  }

  /** A field, not a method: handlers take it out of the delivery. */
  readonly publish = (message: Outgoing | readonly Outgoing[], options: PublishOptions = {}): void => {
    if (!this.#open) throw handlerReturned()
    // In a transaction of ours this is recorded before it returns; what is still missing then, COMMIT waits for.
    this.#parts.publisher.publish(this.tx, toPublications(message, options)).catch(() => undefined)
  }

  close(): void {
    this.#open = false
  }
}

/** The handler's answer, addressed to whoever asked. */
function replyTo<Tx>(run: Run<Tx>, returned: unknown): Publication {
  const { definition } = run.subscription.contract
  if (!isReply(returned, definition.replies)) {
    throw new PermanentError(
      'REPLY_MISSING',
      `The handler of ${definition.name} must return one of its replies (${definition.replies.join(', ')}), it returned ${described(returned)}.`,
      { type: run.message.type },
    )
  }
  const { sagaid, commandid } = run.message.attributes
  if (sagaid === undefined || commandid === undefined) return { message: returned }
  return { message: returned, attributes: { sagaid, commandid }, key: sagaid }
}

function isReply(value: unknown, replies: readonly string[]): value is Outgoing {
  return typeof value === 'object' && value !== null && 'name' in value && replies.includes(String(value.name))
}

function described(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'name' in value) return String(value.name)
  return value === undefined ? 'nothing' : `a ${typeof value}`
}

function handlerReturned(): PermanentError {
  return new PermanentError(
    'DELIVERY_ENDED',
    'The handler had already returned when publish was called, so the message cannot be part of its transaction. Await everything before the handler returns.',
  )
}

import { PermanentError } from '../../foundation/errors.ts'
import type { Message } from '../contract/contract.ts'
import type { Delivery } from './subscription.ts'

/** A delivery as a middleware sees it: with the message, and the group that it is handed to. */
export interface Incoming<Tx> extends Delivery<Tx> {
  readonly message: Message
  readonly group: string
}

/**
 * Runs around every handler, inside its transaction and its time.
 *
 * `next` runs what comes after it and rejects with what that threw. Without a call of `next` the handler does not run,
 * and the message is settled by what the middleware did. It may run again although it succeeded, as a handler may.
 */
export type Middleware<Tx> = (delivery: Incoming<Tx>, next: () => Promise<void>) => Promise<void>

/**
 * Runs a handler inside all middlewares, the first one outermost.
 *
 * @returns what the handler returned; `undefined` when a middleware did not call `next`
 * @throws whatever the handler or a middleware threw, at once or from the promise
 * @throws PermanentError `NEXT_TWICE`, `NEXT_NOT_AWAITED`: a middleware broke the chain; the transaction must be rolled back
 */
export function runInside<Tx>(
  middlewares: readonly Middleware<Tx>[],
  delivery: Incoming<Tx>,
  handler: () => Promise<unknown>,
): Promise<unknown> {
  return middlewares.length === 0 ? handler() : runThrough(middlewares, delivery, handler)
}

async function runThrough<Tx>(
  middlewares: readonly Middleware<Tx>[],
  delivery: Incoming<Tx>,
  handler: () => Promise<unknown>,
): Promise<unknown> {
  let returned: unknown
  const runFrom = async (index: number): Promise<void> => {
    const middleware = middlewares[index]
    if (middleware === undefined) {
      returned = await handler()
      return
    }
    let state: 'not called' | 'running' | 'settled' = 'not called'
    const next = (): Promise<void> => {
      if (state !== 'not called') return Promise.reject(nextTwice(delivery))
      state = 'running'
      const running = runFrom(index + 1).finally(() => {
        state = 'settled'
      })
      // If nobody waits for it, the middleware's own end tells; a rejection must not end the process.
      running.catch(() => undefined)
      return running
    }
    await middleware(delivery, next)
    if (isRunning(state)) throw nextNotAwaited(delivery)
  }
  await runFrom(0)
  return returned
}

/** The compiler does not see that `next` changes it. */
function isRunning(state: string): boolean {
  return state === 'running'
}

function nextTwice<Tx>({ message }: Incoming<Tx>): PermanentError {
  return new PermanentError(
    'NEXT_TWICE',
    `A middleware called next twice for ${message.type}; its handler would run twice in one transaction. Let the error through: the subscription's retry policy runs the message again.`,
    { type: message.type },
  )
}

function nextNotAwaited<Tx>({ message }: Incoming<Tx>): PermanentError {
  return new PermanentError(
    'NEXT_NOT_AWAITED',
    `A middleware returned while what it called by next still ran for ${message.type}, so nobody knows what belongs to the transaction. Write "await next()".`,
    { type: message.type },
  )
}

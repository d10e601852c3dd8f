import { sql } from 'drizzle-orm'
import { PermanentError } from '../../foundation/errors.ts'
import type { TextValue } from './transaction-source.ts'

/** Drizzle counts parameters by itself, so one that is named twice is given twice. */
export function toDrizzle(text: string, values: readonly TextValue[]): ReturnType<typeof sql.join> {
  const parts = text.split(/\$(\d+)/)
  return sql.join(parts.map((part, index) => (index % 2 === 0 ? sql.raw(part) : sql`${sql.param(values[Number(part) - 1])}`)))
}

/**
 * Runs `work` in a transaction that nobody can use afterwards.
 *
 * Drizzle goes on sending through one that has ended, on a connection that may be somebody else's by now: a handler
 * whose time is over would write into a stranger's transaction.
 */
export async function untilItsEnd<Tx extends object, Result>(
  begin: (work: (tx: Tx) => Promise<Result>) => Promise<Result>,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> {
  let used: Tx | undefined
  try {
    return await begin((tx) => {
      used = tx
      return work(tx)
    })
  } finally {
    const session: unknown = used === undefined ? undefined : Reflect.get(used, 'session')
    if (typeof session === 'object' && session !== null) Reflect.set(session, 'client', ended)
  }
}

const ended = {
  query: () =>
    Promise.reject(
      new PermanentError(
        'TRANSACTION_ENDED',
        'The transaction has ended, so nothing can be done in it any more. Await every statement before the handler or the work function returns.',
      ),
    ),
}

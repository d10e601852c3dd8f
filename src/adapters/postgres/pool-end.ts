import type { Pool, PoolClient } from 'pg'
import { endsWithin } from '../../foundation/service.ts'

const GOODBYE_MS = 2_000

/**
 * Ends a pool even when its server does not say goodbye: a network that swallows everything would hold the sockets,
 * and with them the process, until the operating system gives up.
 */
export class PoolEnd {
  readonly #pool: Pool
  readonly #open = new Set<PoolClient>()
  readonly #onLoan = new Set<PoolClient>()
  readonly #allGone = Promise.withResolvers<void>()
  #ended: Promise<void> | undefined

  constructor(pool: Pool) {
    this.#pool = pool
    pool.on('connect', (client) => this.#open.add(client))
    pool.on('acquire', (client) => this.#onLoan.add(client))
    pool.on('remove', (client) => {
      this.#open.delete(client)
      this.#check()
    })
    pool.on('release', (_, client) => {
      this.#onLoan.delete(client)
      if (this.#ended !== undefined) setTimeout(() => this.#destroyIdle(), GOODBYE_MS)
    })
  }

  /** Resolves when every connection has ended; a transaction that still runs keeps its own until it has ended. */
  end(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    // The pool itself waits for its transactions only, not for what it has said goodbye to.
    const ended = this.#pool.end().then(() => {
      this.#check()
      return this.#allGone.promise
    })
    if (!(await endsWithin(ended, GOODBYE_MS))) this.#destroyIdle()
    await ended
  }

  #check(): void {
    if (this.#pool.ended && this.#open.size === 0) this.#allGone.resolve()
  }

  #destroyIdle(): void {
    for (const client of this.#open) if (!this.#onLoan.has(client)) client.connection.stream.destroy()
  }
}

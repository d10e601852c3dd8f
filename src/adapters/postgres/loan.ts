import type { PoolClient } from 'pg'

/** A connection of the pool while one transaction has it; it goes back once, whoever says so first. */
export class Loan {
  readonly client: PoolClient
  /** Of the server, when it was connected; see `outcome.ts`. */
  readonly generation: string
  #returned = false

  constructor(client: PoolClient, generation: string) {
    this.client = client
    this.generation = generation
  }

  get returned(): boolean {
    return this.#returned
  }

  giveBack(): void {
    this.#return(false)
  }

  /** For a connection that is broken, or that somebody may still use. */
  destroy(): void {
    this.#return(true)
  }

  #return(destroy: boolean): void {
    if (this.#returned) return
    this.#returned = true
    this.client.release(destroy)
  }
}

import type { Pass, PassResult, Term } from '../../core/outbox/outbox-store.ts'
import type { BinaryRow } from './binary-row.ts'
import { passSql, passValues, toPassResult } from './outbox-pass.ts'
import { RowMemory } from './row-memory.ts'
import type { SingleSession } from './single-session.ts'
import { SlabRow } from './slab-row.ts'

/** Reads passes into memory of its own, which is not used by any other term. */
export class PassReader {
  readonly #session: SingleSession
  readonly #memory = new RowMemory()
  readonly #topics = new Map<string, string>()

  constructor(session: SingleSession) {
    this.#session = session
  }

  async read(term: Term, pass: Pass): Promise<PassResult | undefined> {
    const taken: SlabRow[] = []
    const take = (row: BinaryRow): SlabRow => {
      const own = new SlabRow(row, this.#topics, this.#memory)
      taken.push(own)
      return own
    }
    try {
      return toPassResult(await this.#session.askWithin(passSql, passValues(term, pass), pass.withinMs, take), pass)
    } catch (error) {
      // Nobody gets what came of an answer that was broken off.
      for (const row of taken) row.release()
      throw error
    }
  }
}

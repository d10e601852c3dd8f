import type { Pass, PassResult, Term } from '../../core/outbox/outbox-store.ts'
import type { BinaryRow } from './binary-row.ts'
import { KnownTexts } from './known-texts.ts'
import { passSql, passValues, toPassResult } from './outbox-pass.ts'
import { RowMemory } from './row-memory.ts'
import type { SingleSession } from './single-session.ts'
import { SlabRow } from './slab-row.ts'

/** Reads passes into memory of its own, which is not used by any other term. */
export class PassReader {
  readonly #session: SingleSession
  readonly #memory = new RowMemory()
  readonly #topics = new KnownTexts()

  constructor(session: SingleSession) {
    this.#session = session
  }

  async read(term: Term, pass: Pass): Promise<PassResult | undefined> {
    const rows: SlabRow[] = []
    let told: string | undefined
    const take = (row: BinaryRow): void => {
      if (told === undefined) told = row.text()
      else rows.push(new SlabRow(row.knownText(this.#topics), row, this.#memory))
    }
    try {
      await this.#session.askWithin(passSql, passValues(term, pass), pass.withinMs, take)
      return toPassResult(told ?? '{}', rows, pass)
    } catch (error) {
      // Nobody gets what came of an answer that was broken off.
      for (const row of rows) row.release()
      throw error
    }
  }
}

/** Many statements that only read may come before the first that writes, or none does. */
const QUESTIONS_MAX = 4

export const numberSql = 'select pg_current_xact_id_if_assigned() as number'

/**
 * A transaction's number on the server, by which the outcome of a COMMIT can be asked for when its reply is lost.
 *
 * It is asked for in the same write as a statement of the work: if that has written, the number is known before COMMIT
 * leaves without a round trip of its own, so that the last statements can leave together with COMMIT.
 */
export class TransactionNumber {
  readonly #ask: () => Promise<string | undefined>
  #known: string | undefined
  #asking: Promise<void> | undefined
  #questionsLeft: number

  /** @param ask never rejects */
  constructor(ask: () => Promise<string | undefined>, wanted: boolean) {
    this.#ask = ask
    this.#questionsLeft = wanted ? QUESTIONS_MAX : 0
  }

  /** `undefined` when the work has written nothing, or nobody asked since. */
  get known(): string | undefined {
    return this.#known
  }

  /** Called when a statement was sent. */
  askBeside(): void {
    if (this.#questionsLeft === 0 || this.#asking !== undefined || this.#known !== undefined) return
    this.#questionsLeft--
    this.#asking = this.#ask().then((number) => {
      this.#known = number
      this.#asking = undefined
    })
  }

  /** Resolves when no question is under way. */
  async settled(): Promise<void> {
    await this.#asking
  }
}

import { createHash } from 'node:crypto'
import { codeOf } from './errors.ts'

/** A pooler gave us a server that does not know the statement, or knows it from somebody else. */
const preparedElsewhere = new Set(['26000', '42P05'])

/** What a user sends once or twice would only fill the server's memory. */
const SENT_BEFORE = 5
/** Each costs some kilobytes in each connection, for as long as it lives. */
const NAMES_MAX = 200
const COUNTED_MAX = 1_000
/** A text that is longer is likely to be built anew each time. */
const COUNTED_LENGTH_MAX = 4_096

/**
 * Which statements are sent under a name, so that the server parses and plans them once a connection.
 *
 * Behind a transaction pooler that cannot do this, the first failure ends it, for good.
 */
export class PreparedStatements {
  /** An empty name: this text is never sent under one again. */
  readonly #names = new Map<string, string>()
  readonly #sent = new Map<string, number>()
  #works = true
  #behindPooler = false

  /** Notes which process of the server answers, and which one the connection was told at its start: behind a pooler they differ. */
  heard(answering: unknown, told: unknown): void {
    if (typeof told === 'number' && typeof answering === 'number' && answering !== told) this.#behindPooler = true
  }

  /** Behind a pooler a name may be unknown: whoever does not run the work again should not have to hear of that. */
  nameFor(text: string, often: 'often' | 'perhaps' | undefined, runsAgain: boolean): string | undefined {
    if (often === undefined || (this.#behindPooler && !runsAgain)) return undefined
    return often === 'often' ? this.nameOf(text) : this.nameIfOften(text)
  }

  /** The same name for the same text only, whoever else prepares statements behind a pooler. @returns `undefined` when names do not work here */
  nameOf(text: string): string | undefined {
    if (!this.#works) return undefined
    let name = this.#names.get(text)
    if (name === undefined) {
      name = `trunkline_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
      this.#names.set(text, name)
    }
    return name === '' ? undefined : name
  }

  /** Counts a text that is about to be sent, and that nobody says is sent often. @returns `undefined` while it is not */
  nameIfOften(text: string): string | undefined {
    if (this.#names.has(text)) return this.nameOf(text)
    if (!this.#works || text.length > COUNTED_LENGTH_MAX || this.#names.size >= NAMES_MAX) return undefined
    const sent = this.#sent.get(text) ?? 0
    if (sent >= SENT_BEFORE) {
      this.#sent.delete(text)
      return this.nameOf(text)
    }
    // Texts without end are built by hand; what is really sent often is counted again soon.
    if (sent === 0 && this.#sent.size >= COUNTED_MAX) this.#sent.clear()
    this.#sent.set(text, sent + 1)
    return undefined
  }

  /**
   * @param text of the statement that failed
   * @returns whether the error only means that its name does not work here: nothing was run, and the same without a name will work
   */
  isRefusal(error: unknown, text: string): boolean {
    if (preparedElsewhere.has(codeOf(error) ?? '')) {
      this.#works = false
      return true
    }
    if (!isPlanOutdated(error)) return false
    this.neverName(text)
    return true
  }

  /** From now on this text is sent as it is. */
  neverName(text: string): void {
    this.#names.set(text, '')
  }
}

/** A column came or went since the statement was prepared: the server refuses to answer in another shape than before. */
function isPlanOutdated(error: unknown): boolean {
  return codeOf(error) === '0A000' && error instanceof Error && 'routine' in error && error.routine === 'RevalidateCachedQuery'
}

import { createHash } from 'node:crypto'
import { codeOf } from './errors.ts'

/** A pooler gave us a server that does not know the statement, or knows it from somebody else. */
const preparedElsewhere = new Set(['26000', '42P05'])

/**
 * Which statements are sent under a name, so that the server parses and plans them once a connection.
 *
 * Behind a transaction pooler that cannot do this, the first failure ends it, for good.
 */
export class PreparedStatements {
  readonly #names = new Map<string, string>()
  #works = true

  /** The same name for the same text only, whoever else prepares statements behind a pooler. @returns `undefined` when names do not work here */
  nameOf(text: string): string | undefined {
    if (!this.#works) return undefined
    let name = this.#names.get(text)
    if (name === undefined) {
      name = `trunkline_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
      this.#names.set(text, name)
    }
    return name
  }

  /** @returns whether the error only means that names do not work here: nothing was run, and the same without a name will work */
  isRefusal(error: unknown): boolean {
    const refused = preparedElsewhere.has(codeOf(error) ?? '')
    if (refused) this.#works = false
    return refused
  }
}

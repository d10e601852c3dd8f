import { type ClientBase, type Connection, Query, type QueryConfig } from 'pg'
import { isFromServer, transactionLost } from './errors.ts'
import { type ColumnDescription, PendingAnswer, type StatementAnswer } from './pending-answer.ts'
import { type Known, StatementBytes } from './statement-bytes.ts'

/** What of the driver's connection is used. */
export interface DriverConnection extends Connection {
  /** The texts of the names that the server knows, and of those that are on their way to it. */
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
}

/** By connection, the names of statements that have no columns: so long as a name stands for a statement, that does not change. */
const withoutColumns = new WeakMap<DriverConnection, Set<string>>()

/**
 * Statements of one open transaction that leave in one write with one Sync, which the driver takes for one query.
 *
 * With a Sync behind each statement the server flushes, and this process wakes up, once for each. When one fails, the
 * server skips the rest up to the Sync. Inside a transaction they could only have failed too, so that is what they are
 * told; a COMMIT among them has not been run.
 *
 * It is a `Query` because where it pipelines the driver takes no other: it refuses classes that keep a portal open.
 *
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 */
export class StatementGroup extends Query {
  readonly #client: ClientBase
  readonly #connection: DriverConnection
  readonly #bytes: StatementBytes
  readonly #answers: PendingAnswer[] = []
  /** Whose messages come now. */
  #at = 0
  /** By which the server told that it skips the rest. */
  #failure: unknown
  /** The driver notes under these what the server has parsed, so they are those of the statement whose messages come. */
  text = ''
  name: string | undefined = undefined

  constructor(client: ClientBase, connection: DriverConnection, expectedBytes: number) {
    super('')
    this.#client = client
    this.#connection = connection
    this.#bytes = new StatementBytes(expectedBytes)
  }

  get bytes(): number {
    return this.#bytes.length
  }

  get size(): number {
    return this.#answers.length
  }

  /** @returns the answer; rejects with what the driver throws of a value that it cannot write, and then nothing is sent */
  add(query: QueryConfig): Promise<StatementAnswer> {
    const { name, text } = query
    const known = this.#knownOf(name)
    return new Promise((resolve, reject) => {
      this.#bytes.add(query, known)
      if (name !== undefined && known === 'nothing') this.#connection.submittedNamedStatements[name] = text
      this.#answers.push(new PendingAnswer(query, resolve, reject))
    })
  }

  /** The driver ends its limit for the answer with it; when that is reached, it comes with the error. */
  callback = (error: unknown): void => {
    if (error !== null) this.#lose(error)
  }

  override readonly submit = ({ stream }: Connection): void => {
    this.#turnTo(0)
    // What cannot be written is told by the end of the connection.
    if (stream.writable) stream.write(this.#bytes.end())
  }

  handleRowDescription(message: { readonly fields: readonly ColumnDescription[] }): void {
    this.#answers[this.#at]?.describe(this.#client, message.fields)
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    this.#answers[this.#at]?.addRow(message.fields)
  }

  handleCommandComplete(message: { readonly text: string }): void {
    const answer = this.#answers[this.#at]
    answer?.complete(message.text)
    if (answer?.name !== undefined && answer.hasNoColumns) this.#columnless.add(answer.name)
    this.#passed()
  }

  handleEmptyQuery(): void {
    this.#passed()
  }

  /** `copy … from stdin`, which takes the Sync for data that are not meant: what follows could not be told apart. */
  handleCopyInResponse(): void {
    this.#connection.stream.destroy()
  }

  /** `copy … to stdout`: nobody takes them. */
  handleCopyData(): void {}

  handleReadyForQuery(): void {
    if (this.#at === this.#answers.length) {
      this.#answers[this.#at - 1]?.settle()
      this.callback(null)
      this.#forgetAnswers()
      return
    }
    // Answers that are missing came to somebody else, or will: nothing that this connection says can be believed.
    this.#connection.stream.destroy()
    this.#lose(unanswered())
  }

  /** Of a statement, by the server, which goes on at the Sync; or of the connection, by the driver, when it has ended. */
  handleError(error: unknown, connection: DriverConnection): void {
    if (!isFromServer(error) || this.#failure !== undefined) {
      this.#lose(error)
      return
    }
    this.#failure = error
    this.#forgetNames(connection)
    // The driver no longer tells this query anything. A server that ends the connection does not come to the Sync.
    const skipped = (): void => {
      connection.removeListener('end', ended)
      this.#lose(transactionLost('A statement failed', error))
    }
    const ended = (): void => {
      connection.removeListener('readyForQuery', skipped)
      this.#lose(unanswered())
    }
    connection.once('readyForQuery', skipped)
    connection.once('end', ended)
  }

  #knownOf(name: string | undefined): Known {
    const { parsedStatements: parsed, submittedNamedStatements: submitted } = this.#connection
    if (name === undefined || (parsed[name] ?? submitted[name]) === undefined) return 'nothing'
    return this.#columnless.has(name) ? 'that it has no columns' : 'its text'
  }

  get #columnless(): Set<string> {
    const known = withoutColumns.get(this.#connection)
    if (known !== undefined) return known
    const names = new Set<string>()
    withoutColumns.set(this.#connection, names)
    return names
  }

  /** The last one is told at the Sync: then nothing more comes for this query. */
  #passed(): void {
    const { length } = this.#answers
    if (this.#at < length - 1) this.#answers[this.#at]?.settle()
    this.#turnTo(this.#at + 1)
  }

  #turnTo(at: number): void {
    this.#at = at
    this.text = this.#answers[at]?.text ?? ''
    this.name = this.#answers[at]?.name
  }

  /** What was not parsed must be parsed the next time. */
  #forgetNames({ parsedStatements: parsed, submittedNamedStatements: submitted }: DriverConnection): void {
    for (const { name } of this.#answers.slice(this.#at)) {
      if (name !== undefined && parsed[name] === undefined) delete submitted[name]
    }
  }

  /** @param error of what the server did not answer; what it has answered with an error is told that */
  #lose(error: unknown): void {
    this.callback(null)
    const unsettled = this.#answers.slice(Math.min(this.#at, this.#answers.length - 1))
    if (this.#failure !== undefined) unsettled.shift()?.reject(this.#failure)
    for (const answer of unsettled) answer.reject(error)
    this.#forgetAnswers()
  }

  /**
   * The driver's limit for the answer is a function that V8 makes in its old generation, as one that is assigned to a
   * property, and what it names lives until the next major collection: this query, and with it all that waited for answers.
   */
  #forgetAnswers(): void {
    this.#answers.length = 0
    this.#failure = undefined
    this.#turnTo(0)
  }
}

/** As the driver tells it of its own queries. */
function unanswered(): Error {
  return new Error('Connection terminated unexpectedly')
}

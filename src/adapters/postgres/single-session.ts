import { Client, type ClientConfig, type CustomTypesConfig, type QueryArrayConfig } from 'pg'
import { TransientError } from '../../foundation/errors.ts'
import { endsWithin } from '../../foundation/service.ts'
import { BinaryRow } from './binary-row.ts'
import { type CancelFate, requestCancel } from './cancel-request.ts'
import { codeOf, mapDatabaseError, mapFull, mapMissingTable, mapPrivilegeError } from './errors.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { RowTap } from './row-tap.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** A connection that is silent for longer is lost. */
const ANSWER_TIMEOUT_MS = 35_000
/** The same, where the server has nothing to work on: what a stand-by asks next waits behind it. */
const GREETING_TIMEOUT_MS = 5_000
const DOING = 'The relay could not work on its outbox'
const RIGHTS =
  'The relay sends nothing until it may, and tries again. Run what "trunkline migrate roles" prints, also after each migration; a service whose own process runs the relay needs both roles: grant <relay> to <runtime>.'
/** The server's code for a statement that was broken off. */
const CANCELLED = '57014'
/** A value as the server wrote it; `null` for SQL's null. */
export type RawRow = readonly (string | null)[]

/**
 * One connection of its own, which is asked one thing at a time; statements are prepared once.
 *
 * It sets nothing for longer than a statement: behind a transaction pooler the next statement may run in another
 * session, and what was set would stay with strangers. (One exception does nobody harm: after how long the server
 * gives up a client that answers no more.)
 */
export class SingleSession {
  readonly #client: Client
  readonly #tap: RowTap
  readonly #prepared = new PreparedStatements()
  /** The driver will no longer keep a queue. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(client: Client, tap: RowTap) {
    this.#client = client
    this.#tap = tap
  }

  /** @param onLost called when the connection breaks by itself. @throws TransientError the database is unreachable */
  static async open(connection: ClientConfig, name: string, onLost: (reason: Error) => void): Promise<SingleSession> {
    const client = new Client({
      ...connection,
      pipeline: false,
      application_name: name,
      keepAlive: true,
      // A stand-by has little to say: without probes it would learn after hours that its connection is dead.
      keepAliveInitialDelayMillis: 10_000,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
    })
    client.on('error', onLost)
    client.on('end', () => onLost(new Error('the connection ended')))
    try {
      await client.connect()
      const first = { text: "select set_config('tcp_user_timeout', '30s', false)", query_timeout: GREETING_TIMEOUT_MS }
      await client.query(first)
      return new SingleSession(client, RowTap.on(client.connection.stream))
    } catch (error) {
      await client.end().catch(() => undefined)
      throw mapDatabaseError(error, 'The relay could not connect')
    }
  }

  /** @throws TransientError nobody answered; the statement may have been run */
  ask(text: string, values: readonly unknown[] = [], answerTimeoutMs = ANSWER_TIMEOUT_MS): Promise<RawRow[]> {
    return this.whileSilent(() => this.#ask(text, values, answerTimeoutMs))
  }

  /**
   * As `ask`, for many rows, and for what others must not wait for.
   *
   * @param onRow gets each row, which is gone when it returns
   * @throws TransientError `STATEMENT_TOO_SLOW` the server had said nothing for `withinMs`, and broke it off when it was
   * told to; or it had a limit of its own
   */
  askWithin(text: string, values: readonly unknown[], withinMs: number, onRow: (row: BinaryRow) => void): Promise<void> {
    return this.whileSilent(() => this.#askWithin(text, values, withinMs, onRow))
  }

  /** Does `work` when what was asked before is answered; what is asked meanwhile waits until it is done. */
  whileSilent<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** @returns whether the process of the server that answers is the one that the connection was told at its start: poolers tell a number of their own */
  async isDirect(): Promise<boolean> {
    const [row] = await this.ask('select pg_backend_pid()', [], GREETING_TIMEOUT_MS)
    return Number(row?.[0]) === Reflect.get(this.#client, 'processID')
  }

  /** Hears what is said on a channel of the database, where the server lets it. */
  async listen(channel: string, onSaid: (what: string) => void): Promise<void> {
    this.#client.on('notification', (message) => {
      if (message.channel === channel) onSaid(message.payload ?? '')
    })
    const listen = { text: `listen ${this.#client.escapeIdentifier(channel)}`, query_timeout: GREETING_TIMEOUT_MS }
    await this.whileSilent(() => this.#answered(() => this.#client.query(listen)))
  }

  /** A server that cannot be reached does not say goodbye either. */
  async close(deadlineMs: number): Promise<void> {
    const ended = this.#client.end().catch(() => undefined)
    if (!(await endsWithin(ended, deadlineMs))) this.#abandon()
  }

  async #askWithin(text: string, values: readonly unknown[], withinMs: number, onRow: (row: BinaryRow) => void): Promise<void> {
    let heard = this.#bytesRead()
    let cancelled: Promise<CancelFate> | undefined
    // What comes over a slow network is on its way: it would not come sooner if it were asked for again.
    const watch = setInterval(() => {
      if (this.#bytesRead() === heard) cancelled ??= requestCancel(this.#client)
      heard = this.#bytesRead()
    }, withinMs)
    try {
      await this.#mapped(text, () => this.#runBinary(text, values, onRow))
    } catch (error) {
      // Also where the server has a limit of its own (statement_timeout) that is shorter: a shorter step helps as well.
      if (codeOf(error) !== CANCELLED) throw error
      const message = `The server worked on a statement of the relay for too long (${withinMs} ms without an answer, or its own statement_timeout), so it was given up.`
      throw new TransientError('STATEMENT_TOO_SLOW', message, { withinMs }, error)
    } finally {
      clearInterval(watch)
      // It would come late, and break off another statement.
      if ((await cancelled) === 'unknown') this.#abandon()
    }
  }

  /** Of a socket; the driver's types allow other streams too. */
  #bytesRead(): unknown {
    return Reflect.get(this.#client.connection.stream, 'bytesRead')
  }

  #ask(text: string, values: readonly unknown[], answerTimeoutMs: number): Promise<RawRow[]> {
    return this.#mapped(text, async () => {
      const query = { ...this.#statement(text, values), query_timeout: answerTimeoutMs }
      return (await this.#answered(() => this.#client.query<(string | null)[]>(query))).rows
    })
  }

  async #mapped<Answer>(text: string, run: () => Promise<Answer>): Promise<Answer> {
    try {
      return await run().catch((error: unknown) => {
        if (!this.#prepared.isRefusal(error, text)) throw error
        return run()
      })
    } catch (error) {
      throw mapMissingTable(mapPrivilegeError(mapDatabaseError(mapFull(error, DOING), DOING), RIGHTS))
    }
  }

  async #runBinary(text: string, values: readonly unknown[], onRow: (row: BinaryRow) => void): Promise<void> {
    const unreadable: unknown[] = []
    this.#tap.rowsTo((bytes, at) => {
      try {
        onRow(new BinaryRow(bytes, at))
      } catch (error) {
        unreadable.push(error)
      }
    })
    // The driver knows a limit for one statement, and the binary format; its types do not.
    const query = { ...this.#statement(text, values), binary: true, query_timeout: ANSWER_TIMEOUT_MS }
    try {
      await this.#answered(() => this.#client.query(query))
    } finally {
      this.#tap.rowsTo(undefined)
    }
    if (unreadable.length > 0) throw unreadable[0]
  }

  /** Where the server has not said that a statement is over, rows may still come, and must not be taken for the next answer's. */
  async #answered<Answer>(query: () => Promise<Answer>): Promise<Answer> {
    try {
      return await query()
    } catch (error) {
      if (codeOf(error) === undefined) this.#abandon()
      throw error
    }
  }

  #abandon(): void {
    this.#client.connection.stream.destroy()
  }

  #statement(text: string, values: readonly unknown[]): QueryArrayConfig {
    const name = this.#prepared.nameOf(text)
    return { ...(name === undefined ? {} : { name }), text, values: [...values], rowMode: 'array', types: asWritten }
  }
}

const asWritten: CustomTypesConfig = { getTypeParser: () => (value: string) => value }

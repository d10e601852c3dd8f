import { createHash } from 'node:crypto'
import { Client, type ClientConfig, type CustomTypesConfig, type QueryConfig } from 'pg'
import { endsWithin } from '../../foundation/service.ts'
import { codeOf, mapDatabaseError } from './errors.ts'

const CONNECT_TIMEOUT_MS = 5_000
/** A connection that is silent for longer is lost. */
const ANSWER_TIMEOUT_MS = 35_000
/** A pooler gave us a server that does not know the statement, or knows it from somebody else. */
const preparedElsewhere = new Set(['26000', '42P05'])

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
  readonly #names = new Map<string, string>()
  /** The driver will no longer keep a queue. */
  #turn: Promise<unknown> = Promise.resolve()
  #prepares = true

  private constructor(client: Client) {
    this.#client = client
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
      const first = { text: "select set_config('tcp_user_timeout', '30s', false)", query_timeout: CONNECT_TIMEOUT_MS }
      await client.query(first)
      return new SingleSession(client)
    } catch (error) {
      await client.end().catch(() => undefined)
      throw mapDatabaseError(error, 'The relay could not connect')
    }
  }

  /** @throws TransientError nobody answered; the statement may have been run */
  ask(text: string, values: readonly unknown[] = [], answerTimeoutMs = ANSWER_TIMEOUT_MS): Promise<RawRow[]> {
    const answer = this.#turn.then(() => this.#ask(text, values, answerTimeoutMs))
    this.#turn = answer.catch(() => undefined)
    return answer
  }

  /** Hears what is said on a channel of the database, where the server lets it. */
  async listen(channel: string, onSaid: (what: string) => void): Promise<void> {
    this.#client.on('notification', (message) => {
      if (message.channel === channel) onSaid(message.payload ?? '')
    })
    const answer = this.#turn.then(() => this.#client.query(`listen ${this.#client.escapeIdentifier(channel)}`))
    this.#turn = answer.catch(() => undefined)
    await answer
  }

  /** A server that cannot be reached does not say goodbye either. */
  async close(deadlineMs: number): Promise<void> {
    const ended = this.#client.end().catch(() => undefined)
    if (!(await endsWithin(ended, deadlineMs))) this.#client.connection.stream.destroy()
  }

  async #ask(text: string, values: readonly unknown[], answerTimeoutMs: number): Promise<RawRow[]> {
    try {
      return await this.#run(text, values, answerTimeoutMs)
    } catch (error) {
      if (!this.#prepares || !preparedElsewhere.has(codeOf(error) ?? ''))
        throw mapDatabaseError(error, 'The relay could not work on its outbox')
      // Nothing was run. From now on each statement is parsed anew.
      this.#prepares = false
      return await this.#ask(text, values, answerTimeoutMs)
    }
  }

  async #run(text: string, values: readonly unknown[], answerTimeoutMs: number): Promise<RawRow[]> {
    const name = this.#prepares ? { name: this.#nameOf(text) } : {}
    // The driver knows a limit for one statement, its types do not.
    const query = { ...name, text, values: [...values], rowMode: 'array' as const, types: asWritten, query_timeout: answerTimeoutMs }
    const { rows } = await this.#client.query<(string | null)[]>(query satisfies QueryConfig & { rowMode: 'array' })
    return rows
  }

  /** The same name for the same text only, whoever else prepares statements behind a pooler. */
  #nameOf(text: string): string {
    let name = this.#names.get(text)
    if (name === undefined) {
      name = `trunkline_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
      this.#names.set(text, name)
    }
    return name
  }
}

const asWritten: CustomTypesConfig = { getTypeParser: () => (value: string) => value }

import { Client, type ClientConfig } from 'pg'
import type { OutboxBell } from '../../core/outbox/outbox-bell.ts'
import { endsWithin } from '../../foundation/service.ts'
import { CallPace } from './call-pace.ts'

/** What owners and stand-bys listen to. */
export const OUTBOX_CHANNEL = 'trunkline_outbox'
/** Said when an owner leaves in order. Anything that is not known means: look, there may be rows. */
export const VACANT = 'vacant'
/** Before a token that a listener says to itself. */
export const ECHO = 'echo '

const ANSWER_TIMEOUT_MS = 5_000
const IDLE_MS = 10_000

/**
 * Calls by NOTIFY, after the commit and on a connection of its own: inside the business transaction it takes a lock of
 * the whole cluster until that is committed, which costs two thirds of the throughput with 16 writers.
 */
export class PostgresOutboxBell implements OutboxBell {
  readonly #connection: ClientConfig
  #client: Client | undefined
  #waiting: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #calling: Promise<void> | undefined
  #rungAgain = false
  readonly #pace = new CallPace()
  #closed = false

  constructor(connection: ClientConfig) {
    this.#connection = connection
  }

  ring(): void {
    this.#pace.committed()
    this.#callSoon()
  }

  /** What was to be called in a moment is called now: nobody else would. A server that did not answer is not asked again. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#waiting)
    await this.#calling
    if ((this.#waiting !== undefined || this.#rungAgain) && this.#client !== undefined) this.#call()
    await this.#calling
    await this.#disconnect()
  }

  #callSoon(): void {
    if (this.#closed || this.#waiting !== undefined) return
    if (this.#calling !== undefined) {
      this.#rungAgain = true
      return
    }
    const waitMs = this.#pace.waitMs(performance.now())
    if (waitMs > 0) this.#waiting = setTimeout(() => this.#call(), waitMs)
    else this.#call()
  }

  #call(): void {
    this.#waiting = undefined
    this.#rungAgain = false
    this.#pace.calling()
    this.#calling = this.#notify().then((answered) => {
      this.#pace.called(performance.now(), answered)
      this.#calling = undefined
      if (this.#rungAgain) this.#callSoon()
    })
  }

  /** @returns whether the server took it. Never rejects */
  async #notify(): Promise<boolean> {
    clearTimeout(this.#idle)
    try {
      const client = this.#client ?? (await this.#connect())
      await client.query(notifySql)
      this.#idle = setTimeout(() => void this.#disconnect(), IDLE_MS)
      this.#idle.unref()
      return true
    } catch {
      await this.#disconnect()
      return false
    }
  }

  async #connect(): Promise<Client> {
    const client = new Client({
      ...this.#connection,
      application_name: 'trunkline bell',
      connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
      query_timeout: ANSWER_TIMEOUT_MS,
      pipeline: false,
    })
    client.on('error', () => undefined)
    this.#client = client
    await client.connect()
    return client
  }

  async #disconnect(): Promise<void> {
    clearTimeout(this.#idle)
    const client = this.#client
    this.#client = undefined
    if (client === undefined) return
    const ended = client.end().catch(() => undefined)
    if (!(await endsWithin(ended, 1_000))) client.connection.stream.destroy()
  }
}

// Without a plan and without parameters; it says the empty text.
const notifySql = `notify ${OUTBOX_CHANNEL}`

import { Client, type ClientConfig } from 'pg'
import type { OutboxBell } from '../../core/outbox/outbox-bell.ts'
import { endsWithin } from '../../foundation/service.ts'

/** What owners and stand-bys listen to. */
export const OUTBOX_CHANNEL = 'trunkline_outbox'
/** Said when an owner leaves in order. Anything that is not known means: look, there may be rows. */
export const VACANT = 'vacant'
/** Before a token that a listener says to itself. */
export const ECHO = 'echo '

/** At most one call in this time, however many commits there are: 200 a second cost writers nothing that can be measured. */
const APART_MS = 5
const ANSWER_TIMEOUT_MS = 5_000
const TRY_AGAIN_MS = 1_000
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
  #calledAtMs = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(connection: ClientConfig) {
    this.#connection = connection
  }

  ring(): void {
    if (this.#closed || this.#waiting !== undefined) return
    if (this.#calling !== undefined) {
      this.#rungAgain = true
      return
    }
    const waitMs = this.#calledAtMs + APART_MS - performance.now()
    if (waitMs > 0) this.#waiting = setTimeout(() => this.#call(), waitMs)
    else this.#call()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#waiting)
    await this.#calling
    await this.#disconnect()
  }

  #call(): void {
    this.#waiting = undefined
    this.#rungAgain = false
    this.#calling = this.#notify().then((answered) => {
      this.#calledAtMs = performance.now() + (answered ? 0 : TRY_AGAIN_MS)
      this.#calling = undefined
      if (this.#rungAgain) this.ring()
    })
  }

  /** @returns whether the server took it. Never rejects */
  async #notify(): Promise<boolean> {
    clearTimeout(this.#idle)
    try {
      const client = this.#client ?? (await this.#connect())
      await client.query('select pg_notify($1, $2)', [OUTBOX_CHANNEL, ''])
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

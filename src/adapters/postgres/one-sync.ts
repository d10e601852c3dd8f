import { Client, type PoolClient, type QueryConfig } from 'pg'
import { transactionLost } from './errors.ts'
import { gatherWrites } from './one-write.ts'
import type { StatementAnswer } from './pending-answer.ts'
import { type DriverConnection, StatementGroup } from './statement-group.ts'

/**
 * So much leaves at first of what is sent in one turn, and twice as much each time after: the server soon has something to
 * do, and later it is not told so often. A last statement and its COMMIT should stay together. 500 statements side by side:
 * 25–31 k/s with 4 KiB each time, 30–38 k/s with 8.
 */
const FIRST_GROUP_BYTES = 4_096
const GROUP_BYTES_MAX = 16_384
/** A statement or two. */
const SMALL_BYTES = 512

/**
 * Sends the statements of one transaction, BEGIN first, in the order of the calls.
 *
 * What is sent in one turn of the event loop leaves in one write with one Sync. A connection that does not pipeline has one
 * statement at a time; one of another copy of the driver does not know our query, so there each has its own Sync.
 *
 * What does not leave in one write with BEGIN waits for its answer: where it fails, each would be a transaction of its own.
 */
export class OneSync {
  readonly #client: PoolClient
  readonly #connection: DriverConnection | undefined
  #group: StatementGroup | undefined
  readonly #ahead: StatementGroup[] = []
  #groupBytesMax = FIRST_GROUP_BYTES
  /** Of the write before: what a transaction sends is much alike. */
  #bytes = SMALL_BYTES
  #hasSent = false
  /** The answer to BEGIN. */
  #begun: Promise<StatementAnswer> | undefined
  #isBegun = false
  #lacksOne = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(client: PoolClient) {
    this.#client = client
    this.#connection = connectionOf(client)
  }

  /** Whether a value that cannot be written leaves the server with its statement closed, and the driver taking it for prepared. */
  get closesUnwritable(): boolean {
    return this.#connection === undefined
  }

  /** Whether BEGIN was answered, and has not failed. */
  get isBegun(): boolean {
    return this.#isBegun
  }

  /**
   * Whether COMMIT may leave in one write with what was sent before: not where a statement could not be written, for it
   * would keep the others without that one. Of what the driver writes it is known too late.
   */
  get takesCommit(): boolean {
    return this.#connection !== undefined && !this.#lacksOne
  }

  /** Whether what was to be sent is one statement, which has not left yet: what follows in this turn leaves with it. */
  get isAtFirst(): boolean {
    return this.#group?.size === 1 && !this.#hasSent
  }

  /** Sends a statement that is a transaction of its own, before BEGIN: in the same write, but behind it stands a Sync. */
  sendAhead(query: QueryConfig): Promise<StatementAnswer> {
    if (this.#connection === undefined) return this.#sendApart(query)
    const alone = new StatementGroup(this.#client, this.#connection, SMALL_BYTES)
    const answer = alone.add(query)
    this.#ahead.push(alone)
    return answer
  }

  /** The first is BEGIN. */
  send(query: QueryConfig): Promise<StatementAnswer> {
    if (this.#begun === undefined) return this.#sendFirst(query)
    if (this.#isBegun || (this.#connection !== undefined && !this.#hasSent)) return this.#sendNow(query)
    return this.#begun.then(
      () => this.#sendNow(query),
      (error: unknown) => {
        throw transactionLost('A statement failed', error)
      },
    )
  }

  #sendFirst(begin: QueryConfig): Promise<StatementAnswer> {
    const begun = this.#sendNow(begin)
    this.#begun = begun
    // Before whatever waits for it: so statements keep their order.
    begun.then(
      () => {
        this.#isBegun = true
      },
      () => undefined,
    )
    return begun
  }

  #sendNow(query: QueryConfig): Promise<StatementAnswer> {
    return this.#connection === undefined ? this.#sendApart(query) : this.#sendTogether(query, this.#connection)
  }

  #sendApart(query: QueryConfig): Promise<StatementAnswer> {
    if (this.#client.pipeline) {
      gatherWrites(this.#client)
      return this.#client.query(query)
    }
    const answer = this.#turn.then(() => this.#client.query(query))
    this.#turn = answer.catch(() => undefined)
    return answer
  }

  /** What was to be sent leaves now: the connection is about to be given up, which still answers what it was asked before. */
  flush(): void {
    if (this.#group !== undefined) this.#leave(this.#group)
  }

  #sendTogether(query: QueryConfig, connection: DriverConnection): Promise<StatementAnswer> {
    const group = this.#group ?? this.#begin(connection)
    const { size } = group
    const answer = group.add(query)
    this.#lacksOne ||= group.size === size
    // What leaves with BEGIN is skipped where that fails; behind another Sync it would be a transaction of its own.
    if (group.bytes >= this.#groupBytesMax && this.#hasSent) {
      this.#groupBytesMax = Math.min(2 * this.#groupBytesMax, GROUP_BYTES_MAX)
      this.#leave(group)
    }
    return answer
  }

  #begin(connection: DriverConnection): StatementGroup {
    const group = new StatementGroup(this.#client, connection, this.#bytes)
    this.#group = group
    // It runs when nothing else of this turn is left to run: whoever was to send something has sent it.
    process.nextTick(() => {
      this.#groupBytesMax = FIRST_GROUP_BYTES
      this.#leave(group)
    })
    return group
  }

  #leave(group: StatementGroup): void {
    if (this.#group !== group) return
    this.#group = undefined
    this.#bytes = Math.min(group.bytes + SMALL_BYTES, GROUP_BYTES_MAX)
    this.#hasSent = true
    const leaving = [...this.#ahead.splice(0), group].filter(({ size }) => size > 0)
    const stream = this.#connection?.stream
    stream?.cork()
    for (const each of leaving) this.#client.query(each)
    stream?.uncork()
  }
}

/** @returns `undefined` where the driver is not known to read what it would be sent */
function connectionOf(client: PoolClient): DriverConnection | undefined {
  if (!(client instanceof Client) || client.pipeline !== true || Reflect.get(client, 'binary') === true) return undefined
  const { connection } = client
  return isDrivers(connection) ? connection : undefined
}

function isDrivers(connection: object): connection is DriverConnection {
  return ['parsedStatements', 'submittedNamedStatements'].every((name) => typeof Reflect.get(connection, name) === 'object')
}

import { isIP } from 'node:net'
import type { API, Connection, ConnectionPool } from '@platformatic/kafka'
import { TransientError } from '../../foundation/errors.ts'
import { freeNow } from '../../foundation/free-now.ts'
import type { KafkaLogin } from '../wire/kafka-login.ts'
import { PROBED_AFTER_MS } from '../wire/keep-alive.ts'
import { strangeReply } from '../wire/protocol-mismatch.ts'
import { mapError } from './errors.ts'
import type { Library } from './library.ts'

export interface KafkaAddress {
  readonly brokers: readonly string[]
  readonly clientId: string
  /** TLS: `true`, or Node's TLS options. */
  readonly ssl?: boolean | object | undefined
  readonly sasl?: KafkaLogin | undefined
}

/** Brokers answer the requests of a connection one after another, so what may wait long has a connection of its own. */
export type Purpose = 'requests' | 'fetches' | 'joins'

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

const CONNECTION_TIMEOUT_MS = 3_000
/** A broker holds the request of a member that joins until all others have joined. */
const REQUEST_TIMEOUT_MS: Readonly<Record<Purpose, number>> = { requests: 30_000, fetches: 30_000, joins: 60_000 }
const IN_FLIGHT_MAX = 100
const DEFAULT_PORT = 9092
/** A fetch asks for 16 MiB, and gets a batch whole that is larger. */
const REPLY_BYTES_MAX = 256 * 1024 * 1024

/** The connections of one client to the brokers of a cluster, by what they are for: opened when they are needed, ended together. */
export class Connections {
  readonly #library: Library
  readonly #address: KafkaAddress
  readonly #pools = new Map<Purpose, ConnectionPool>()
  readonly #given: readonly BrokerAddress[]
  /** What ended a connection. */
  readonly #reasons = new WeakMap<Connection, Error>()
  #brokers: ReadonlyMap<number, BrokerAddress> = new Map()
  #endedBy: string | undefined

  /** @param attempt counts the clients made before; each starts at another address of the list */
  constructor(library: Library, address: KafkaAddress, attempt: number) {
    this.#library = library
    this.#address = address
    this.#given = address.brokers.map((_, index, all) => parseAddress(all[(index + attempt) % all.length] ?? ''))
  }

  get brokers(): ReadonlyMap<number, BrokerAddress> {
    return this.#brokers
  }

  know(brokers: ReadonlyMap<number, BrokerAddress>): void {
    this.#brokers = brokers
  }

  /** @returns one to the broker, or to any: brokers that are known come first, their connections are there already */
  async to(broker: number | 'any', purpose: Purpose): Promise<Connection> {
    if (this.#endedBy !== undefined) throw new TransientError('CLIENT_REPLACED', this.#endedBy)
    const pool = this.#pool(purpose)
    if (broker === 'any') return await pool.getFirstAvailable([...this.#brokers.values(), ...this.#given])
    const address = this.#brokers.get(broker)
    if (address === undefined) throw new TransientError('BROKER_UNREACHABLE', `Broker ${broker} is not in the cluster now.`, { broker })
    return await pool.get({ ...address })
  }

  /**
   * Asks with a request of the client. What the answer says of single items is in the answer, also when it is an error.
   *
   * @throws TrunklineError no answer came
   */
  async ask<Args extends unknown[], Reply>(purpose: Purpose, broker: number | 'any', api: API<Args, Reply>, ...args: Args): Promise<Reply> {
    let connection: Connection
    try {
      connection = await this.to(broker, purpose)
    } catch (error) {
      throw this.map(error)
    }
    return await this.askThrough(connection, api, ...args)
  }

  /** As {@link ask}, over a connection that is there. */
  async askThrough<Args extends unknown[], Reply>(connection: Connection, api: API<Args, Reply>, ...args: Args): Promise<Reply> {
    try {
      return await api.async(connection, ...args)
    } catch (error) {
      const reply = replyIn(error)
      if (reply !== undefined) return reply as Reply
      throw this.map(this.#whyOf(connection, error))
    }
  }

  /** Asks with a body that we have encoded. @returns the reply as it came. @throws TrunklineError no answer came */
  exchange(connection: Connection, api: { readonly key: number; readonly version: number }, body: Buffer): Promise<Buffer> {
    const { Writer } = this.#library
    let read: readonly Buffer[] = []
    return new Promise((resolve, reject) => {
      connection.send<Buffer>(
        api.key,
        api.version,
        () => Writer.create().append(body),
        (_correlationId, _key, _version, reader) => {
          read = reader.buffer.buffers
          return reader.buffer.slice(reader.position)
        },
        false,
        false,
        (error, payload) => {
          // The client is through with what it read. Several pieces were copied into the payload; a single one is the payload.
          if (read.length > 1) for (const piece of read) freeNow(piece)
          if (error === null && payload !== undefined) resolve(payload)
          else reject(this.map(this.#whyOf(connection, error ?? new Error('The reply is empty'))))
        },
      )
    })
  }

  /** Ends those of one purpose; the next request opens new ones. */
  cut(purpose: Purpose, why: string): void {
    for (const [, { socket }] of this.#pools.get(purpose) ?? []) socket.destroy(new Error(why))
  }

  /** Ends all: what is in flight fails, and nothing is opened any more. */
  end(why: string): void {
    this.#endedBy ??= why
    for (const pool of this.#pools.values()) {
      const connections = [...pool].map(([, connection]) => connection)
      pool.close(() => undefined)
      // Closing waits until what was written has left, which in a silent network is never.
      for (const { socket } of connections) socket.destroy(new Error(why))
    }
    this.#pools.clear()
  }

  map(error: unknown): ReturnType<typeof mapError> {
    return mapError(error, this.#address.brokers)
  }

  /** The client says of a request only that its connection was closed. */
  #whyOf(connection: Connection, error: unknown): unknown {
    return this.#reasons.get(connection) ?? error
  }

  #pool(purpose: Purpose): ConnectionPool {
    const known = this.#pools.get(purpose)
    if (known !== undefined) return known
    const { brokers, clientId, ssl, sasl } = this.#address
    const pool = new this.#library.ConnectionPool(clientId, {
      connectTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS[purpose],
      maxInflights: IN_FLIGHT_MAX,
      ...(ssl === undefined || ssl === false ? {} : { tls: ssl === true ? {} : ssl, tlsServerName: brokers.every(isName) }),
      ...(sasl === undefined ? {} : { sasl: { ...sasl, mechanism: mechanisms[sasl.mechanism] } }),
    })
    // Without a listener a second error of a connection would end the process.
    pool.on('connecting', ({ connection }) => connection.on('error', (error) => this.#reasons.set(connection, error)))
    pool.on('connect', ({ connection }) => {
      // The client asks for no probes, and would learn of a broker that is gone by the next request alone.
      connection.socket.setKeepAlive(true, PROBED_AFTER_MS)
      endIfStrange(connection)
    })
    this.#pools.set(purpose, pool)
    return pool
  }
}

/** What is no Kafka would be taken for the length of a reply of gigabytes, and waited for. */
function endIfStrange({ socket }: Connection): void {
  socket.prependOnceListener('data', (start: Buffer) => {
    const length = start.length < 4 ? 0 : start.readInt32BE(0)
    if (length < 0 || length > REPLY_BYTES_MAX) socket.destroy(new Error(strangeReply(start)))
  })
}

/** The client throws an answer that names any error; the answer is with it. */
function replyIn(error: unknown): unknown {
  return error instanceof Error && 'response' in error && typeof error.response === 'object' ? error.response : undefined
}

const mechanisms = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
  oauthbearer: 'OAUTHBEARER',
} as const

/** A host name is told to the server in the handshake; an address cannot be. */
function isName(broker: string): boolean {
  return isIP(parseAddress(broker).host) === 0
}

function parseAddress(broker: string): BrokerAddress {
  const at = broker.lastIndexOf(':')
  if (at < 0 || broker.endsWith(']')) return { host: unbracketed(broker), port: DEFAULT_PORT }
  return { host: unbracketed(broker.slice(0, at)), port: Number(broker.slice(at + 1)) }
}

function unbracketed(host: string): string {
  return host.replace(/^\[|\]$/g, '')
}

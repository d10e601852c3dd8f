import { FaultProxy, type Wire } from './fault-proxy.ts'

/** What to do with the next COMMIT of any connection. */
type CommitFault = 'lose the reply' | 'lose the request'

/** A proxy in front of PostgreSQL that reads its messages, so that it can cut a connection around a COMMIT, exactly. */
export class PostgresProxy {
  readonly #proxy: FaultProxy
  readonly #url: URL
  #fault: CommitFault | undefined
  #onCut: (() => void) | undefined
  /** Planned faults that happened. */
  fired = 0

  constructor(databaseUrl: string) {
    this.#url = new URL(databaseUrl)
    const target = { host: this.#url.hostname, port: Number(this.#url.port || 5432) }
    this.#proxy = new FaultProxy(target, () => new PostgresWire({ take: (kind) => this.#take(kind) }))
  }

  async start(): Promise<this> {
    await this.#proxy.start()
    return this
  }

  /** The same database, through the proxy. */
  get url(): string {
    const url = new URL(this.#url)
    url.hostname = '127.0.0.1'
    url.port = String(this.#proxy.port)
    return url.href
  }

  /**
   * Cuts the connection of the next COMMIT: after the server has answered it, or before it reaches the server.
   *
   * @param then what else happens at that instant: the network stays away
   */
  cutNextCommit(fault: CommitFault, then?: () => void): void {
    this.#fault = fault
    this.#onCut = then
  }

  refuse(): void {
    this.#proxy.refuse()
  }

  blackHole(): void {
    this.#proxy.blackHole()
  }

  pass(): void {
    this.#proxy.pass()
  }

  cut(): void {
    this.#proxy.cut()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]()
  }

  #take(kind: CommitFault): boolean {
    if (this.#fault !== kind) return false
    this.#fault = undefined
    this.fired++
    this.#onCut?.()
    return true
  }
}

interface Faults {
  /** @returns whether the fault is planned, and takes it off the plan */
  take(kind: CommitFault): boolean
}

const TYPE_AND_LENGTH = 5

/** One connection's messages: a type byte and a length, but for the client's first, which has no type. */
class PostgresWire implements Wire {
  readonly #faults: Faults
  #fromClient = Buffer.alloc(0)
  #fromServer = Buffer.alloc(0)
  #started = false

  constructor(faults: Faults) {
    this.#faults = faults
  }

  toServer(bytes: Buffer): Buffer | undefined {
    this.#fromClient = Buffer.concat([this.#fromClient, bytes])
    const passed: Buffer[] = []
    if (!this.#started) {
      if (this.#fromClient.length < 4 || this.#fromClient.length < this.#fromClient.readUInt32BE(0)) return Buffer.alloc(0)
      const length = this.#fromClient.readUInt32BE(0)
      passed.push(this.#fromClient.subarray(0, length))
      this.#fromClient = this.#fromClient.subarray(length)
      this.#started = true
    }
    const { messages, rest } = split(this.#fromClient)
    this.#fromClient = rest
    for (const message of messages) {
      if (isCommit(message) && this.#faults.take('lose the request')) return undefined
      passed.push(message)
    }
    return Buffer.concat(passed)
  }

  toClient(bytes: Buffer): Buffer | undefined {
    this.#fromServer = Buffer.concat([this.#fromServer, bytes])
    const { messages, rest } = split(this.#fromServer)
    this.#fromServer = rest
    for (const message of messages) {
      if (isCommitted(message) && this.#faults.take('lose the reply')) return undefined
    }
    return Buffer.concat(messages)
  }
}

function split(bytes: Buffer): { messages: Buffer[]; rest: Buffer<ArrayBuffer> } {
  const messages: Buffer[] = []
  let at = 0
  while (bytes.length - at >= TYPE_AND_LENGTH) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end > bytes.length) break
    messages.push(bytes.subarray(at, end))
    at = end
  }
  return { messages, rest: Buffer.from(bytes.subarray(at)) }
}

/** Query or Parse with the text `commit`. */
function isCommit(message: Buffer): boolean {
  const type = String.fromCharCode(message[0] ?? 0)
  if (type !== 'Q' && type !== 'P') return false
  const parts = message.toString('latin1', TYPE_AND_LENGTH).split('\0')
  const text = type === 'Q' ? parts[0] : parts[1]
  return text?.trim().toLowerCase() === 'commit'
}

/** CommandComplete with the tag COMMIT: the transaction is in the database for good. */
function isCommitted(message: Buffer): boolean {
  return message[0] === 'C'.charCodeAt(0) && message.toString('latin1', TYPE_AND_LENGTH) === 'COMMIT\0'
}

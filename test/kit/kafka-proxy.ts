import { FaultProxy, type Wire } from './fault-proxy.ts'

/** Kafka's numbers of the requests that we look at. */
const requests = { Produce: 0, Fetch: 1, Metadata: 3, OffsetCommit: 8, FindCoordinator: 10, Heartbeat: 12 } as const

export type RequestName = keyof typeof requests

/**
 * A proxy in front of one broker that reads its frames, so that it can lose the reply to one kind of request, exactly.
 *
 * Clients follow the addresses that the broker gives them, so those are rewritten to the proxy's own: the port is
 * a number of four bytes behind the host's name, and stays as long as it was.
 */
export class KafkaProxy {
  readonly #proxy: FaultProxy
  readonly #host: string
  readonly #port: number
  readonly #planned = new Map<number, number>()
  readonly #lost = new Map<number, number>()
  readonly #asked = new Map<number, number>()
  #toDamage = 0
  /** Replies to fetches in which a bit of a record was flipped. */
  damagedFetches = 0

  constructor(broker: string) {
    const [host = '127.0.0.1', port = '9092'] = broker.split(':')
    this.#host = host
    this.#port = Number(port)
    this.#proxy = new FaultProxy({ host, port: this.#port }, () => {
      const count = (api: number): unknown => this.#asked.set(api, (this.#asked.get(api) ?? 0) + 1)
      return new KafkaWire(count, (api, reply) => this.#reply(api, reply))
    })
  }

  async start(): Promise<this> {
    await this.#proxy.start()
    return this
  }

  /** The broker, through the proxy. The host is the broker's own: clients know it by that name. */
  get broker(): string {
    return `${this.#host}:${this.#proxy.port}`
  }

  /** Replies to Produce requests that were lost as planned. */
  get lostReplies(): number {
    return this.lost('Produce')
  }

  /** Replies to this kind of request that were lost as planned. */
  lost(request: RequestName): number {
    return this.#lost.get(requests[request]) ?? 0
  }

  /** Requests of this kind that were passed on. */
  asked(request: RequestName): number {
    return this.#asked.get(requests[request]) ?? 0
  }

  /** The broker appends the next batches, and nobody hears of it: the connection is cut instead of the reply. */
  loseProduceReplies(count: number): void {
    this.loseReplies('Produce', count)
  }

  /** The broker does what the next requests of this kind ask, and nobody hears of it: the connection is cut instead of the reply. */
  loseReplies(request: RequestName, count: number): void {
    const api = requests[request]
    this.#planned.set(api, (this.#planned.get(api) ?? 0) + count)
  }

  /** Flips a bit of a record in the next replies to fetches that hold any. */
  damageFetches(count: number): void {
    this.#toDamage = count
  }

  /** How many connections it has passed to the broker. */
  get connections(): number {
    return this.#proxy.connections
  }

  /** Connections that were cut by `cutAfter`. */
  get cutShort(): number {
    return this.#proxy.cutShort
  }

  delay(ms: number): void {
    this.#proxy.delay(ms)
  }

  cutAfter(bytes: number): void {
    this.#proxy.cutAfter(bytes)
  }

  halfOpen(): void {
    this.#proxy.halfOpen()
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

  #reply(api: number, reply: Buffer): Buffer | undefined {
    const planned = this.#planned.get(api) ?? 0
    if (planned > 0) {
      this.#planned.set(api, planned - 1)
      this.#lost.set(api, (this.#lost.get(api) ?? 0) + 1)
      return undefined
    }
    if (api === requests.Metadata || api === requests.FindCoordinator) this.#rewriteAddress(reply)
    if (api === requests.Fetch && this.#toDamage > 0 && damageBatch(reply)) {
      this.#toDamage -= 1
      this.damagedFetches += 1
    }
    return reply
  }

  #rewriteAddress(reply: Buffer): void {
    const address = Buffer.alloc(this.#host.length + 4)
    address.write(this.#host)
    address.writeInt32BE(this.#port, this.#host.length)
    for (let at = reply.indexOf(address); at >= 0; at = reply.indexOf(address, at + 1)) {
      reply.writeInt32BE(this.#proxy.port, at + this.#host.length)
    }
  }
}

const BATCH_OVERHEAD = 61

/** Flips a bit near the end of the first record batch in a reply to Fetch, version 11. @returns false when it holds none */
function damageBatch(reply: Buffer): boolean {
  let at = 18 // length, correlation, throttling, error, session
  let topics = reply.readInt32BE(at)
  for (at += 4; topics > 0; topics--) {
    at += 2 + reply.readInt16BE(at)
    let partitions = reply.readInt32BE(at)
    for (at += 4; partitions > 0; partitions--) {
      at += 30 // partition, error, three offsets
      at += 4 + 16 * Math.max(0, reply.readInt32BE(at)) + 4 // aborted transactions, preferred replica
      const size = Math.max(0, reply.readInt32BE(at))
      at += 4
      const batch = size > BATCH_OVERHEAD ? 12 + reply.readInt32BE(at + 8) : Number.POSITIVE_INFINITY
      if (batch <= size) {
        reply.writeUInt8(reply.readUInt8(at + batch - 2) ^ 1, at + batch - 2)
        return true
      }
      at += size
    }
  }
  return false
}

/** One connection's frames: a length, then for requests api, version and correlation id, for replies the correlation id. */
class KafkaWire implements Wire {
  readonly #onRequest: (api: number) => void
  readonly #onReply: (api: number, reply: Buffer) => Buffer | undefined
  readonly #asked = new Map<number, number>()
  #fromClient = Buffer.alloc(0)
  #fromServer = Buffer.alloc(0)

  constructor(onRequest: (api: number) => void, onReply: (api: number, reply: Buffer) => Buffer | undefined) {
    this.#onRequest = onRequest
    this.#onReply = onReply
  }

  toServer(bytes: Buffer): Buffer {
    const { frames, rest } = split(Buffer.concat([this.#fromClient, bytes]))
    this.#fromClient = rest
    for (const frame of frames) {
      const api = frame.readInt16BE(4)
      this.#asked.set(frame.readInt32BE(8), api)
      this.#onRequest(api)
    }
    return Buffer.concat(frames)
  }

  toClient(bytes: Buffer): Buffer | undefined {
    const { frames, rest } = split(Buffer.concat([this.#fromServer, bytes]))
    this.#fromServer = rest
    const passed: Buffer[] = []
    for (const frame of frames) {
      const correlation = frame.readInt32BE(4)
      const reply = this.#onReply(this.#asked.get(correlation) ?? -1, frame)
      this.#asked.delete(correlation)
      if (reply === undefined) return undefined
      passed.push(reply)
    }
    return Buffer.concat(passed)
  }
}

function split(bytes: Buffer): { frames: Buffer[]; rest: Buffer<ArrayBuffer> } {
  const frames: Buffer[] = []
  let at = 0
  while (bytes.length - at >= 4) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    frames.push(bytes.subarray(at, end))
    at = end
  }
  return { frames, rest: Buffer.from(bytes.subarray(at)) }
}

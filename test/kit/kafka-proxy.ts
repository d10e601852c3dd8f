import { FaultProxy, type Wire } from './fault-proxy.ts'

/** Kafka's numbers of the requests that we look at. */
const PRODUCE = 0
const METADATA = 3
const FIND_COORDINATOR = 10

/**
 * A proxy in front of one broker that reads its frames, so that it can lose the reply to a Produce, exactly.
 *
 * Clients follow the addresses that the broker gives them, so those are rewritten to the proxy's own: the port is
 * a number of four bytes behind the host's name, and stays as long as it was.
 */
export class KafkaProxy {
  readonly #proxy: FaultProxy
  readonly #host: string
  readonly #port: number
  #lost = 0
  #planned = 0

  constructor(broker: string) {
    const [host = '127.0.0.1', port = '9092'] = broker.split(':')
    this.#host = host
    this.#port = Number(port)
    this.#proxy = new FaultProxy({ host, port: this.#port }, () => new KafkaWire((api, reply) => this.#reply(api, reply)))
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
    return this.#lost
  }

  /** The broker appends the next batches, and nobody hears of it: the connection is cut instead of the reply. */
  loseProduceReplies(count: number): void {
    this.#planned += count
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
    if (api === PRODUCE && this.#planned > 0) {
      this.#planned--
      this.#lost++
      return undefined
    }
    if (api === METADATA || api === FIND_COORDINATOR) this.#rewriteAddress(reply)
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

/** One connection's frames: a length, then for requests api, version and correlation id, for replies the correlation id. */
class KafkaWire implements Wire {
  readonly #onReply: (api: number, reply: Buffer) => Buffer | undefined
  readonly #asked = new Map<number, number>()
  #fromClient = Buffer.alloc(0)
  #fromServer = Buffer.alloc(0)

  constructor(onReply: (api: number, reply: Buffer) => Buffer | undefined) {
    this.#onReply = onReply
  }

  toServer(bytes: Buffer): Buffer {
    const { frames, rest } = split(Buffer.concat([this.#fromClient, bytes]))
    this.#fromClient = rest
    for (const frame of frames) this.#asked.set(frame.readInt32BE(8), frame.readInt16BE(4))
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

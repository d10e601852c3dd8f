import { connect, createServer, type Server, type Socket } from 'node:net'

/** What a proxy does with the bytes of one connection. It may hold back, change or swallow them. */
export interface Wire {
  /** @returns what goes on to the server; `undefined` cuts the connection */
  toServer(bytes: Buffer): Buffer | undefined
  /** @returns what goes on to the client; `undefined` cuts the connection */
  toClient(bytes: Buffer): Buffer | undefined
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  /** The server's side is gone, and the client does not know. */
  isHalfOpen: boolean
}

/**
 * A TCP proxy on 127.0.0.1 that can refuse, swallow, delay and cut.
 *
 * `black-hole` keeps connections open and forwards nothing: a network that drops packets.
 */
export class FaultProxy {
  #target: { readonly host: string; readonly port: number }
  readonly #wire: () => Wire
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #mode: 'pass' | 'refuse' | 'black-hole' = 'pass'
  #port = 0
  #delayMs = 0
  #bytesUntilCut = Number.POSITIVE_INFINITY
  connections = 0
  /** Connections that were cut by `cutAfter`. */
  cutShort = 0

  constructor(target: { readonly host: string; readonly port: number }, wire: () => Wire = passing) {
    this.#target = target
    this.#wire = wire
    this.#server = createServer({ allowHalfOpen: false }, (client) => this.#accept(client))
  }

  get port(): number {
    return this.#port
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
    return this
  }

  /** Takes new connections only to end them, and ends those that are open. */
  refuse(): void {
    this.#mode = 'refuse'
    this.cut()
  }

  /** Keeps connections and forwards nothing, in neither direction. */
  blackHole(): void {
    this.#mode = 'black-hole'
  }

  /** Bytes that a black hole swallowed are gone, so its connections are ended. */
  pass(): void {
    if (this.#mode === 'black-hole') this.cut()
    this.#mode = 'pass'
  }

  /** What the server answers reaches clients so much later. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Passes so many more bytes to clients, and cuts the connection in the middle of what it then carries, once. */
  cutAfter(bytes: number): void {
    this.#bytesUntilCut = bytes
  }

  /** A server that has forgotten its connections: clients keep theirs open and get no answer. New ones pass. */
  halfOpen(): void {
    for (const pair of this.#pairs) {
      pair.isHalfOpen = true
      pair.server.destroy()
    }
  }

  /** Where new connections lead from now on; those that are open end. */
  retarget(target: { readonly host: string; readonly port: number }): void {
    this.#target = target
    this.cut()
  }

  /** Ends every open connection. */
  cut(): void {
    for (const pair of this.#pairs) this.#end(pair)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accept(client: Socket): void {
    if (this.#mode === 'refuse') {
      client.destroy()
      return
    }
    this.connections++
    const server = connect(this.#target)
    const pair = { client, server, isHalfOpen: false }
    this.#pairs.add(pair)
    const wire = this.#wire()
    this.#forward(pair, client, server, (bytes) => wire.toServer(bytes))
    this.#forward(pair, server, client, (bytes) => wire.toClient(bytes))
  }

  #forward(pair: Pair, from: Socket, to: Socket, through: (bytes: Buffer) => Buffer | undefined): void {
    from.setNoDelay(true)
    from.on('error', () => this.#end(pair))
    from.on('close', () => {
      if (from === pair.client || !pair.isHalfOpen) this.#end(pair)
    })
    from.on('data', (bytes: Buffer) => {
      if (this.#mode === 'black-hole' || pair.isHalfOpen) return
      const passed = through(bytes)
      if (passed === undefined) this.#end(pair)
      else if (to === pair.client) this.#answer(pair, passed)
      else if (passed.length > 0) to.write(passed)
    })
  }

  #answer(pair: Pair, bytes: Buffer): void {
    if (bytes.length === 0) return
    if (bytes.length > this.#bytesUntilCut) {
      pair.client.write(bytes.subarray(0, this.#bytesUntilCut), () => this.#end(pair))
      this.#bytesUntilCut = Number.POSITIVE_INFINITY
      this.cutShort += 1
      return
    }
    this.#bytesUntilCut -= bytes.length
    if (this.#delayMs === 0) pair.client.write(bytes)
    else setTimeout(() => pair.client.writable && pair.client.write(bytes), this.#delayMs)
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair)
    pair.client.destroy()
    pair.server.destroy()
  }
}

function passing(): Wire {
  return { toServer: (bytes) => bytes, toClient: (bytes) => bytes }
}

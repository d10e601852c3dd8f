import { connect, createServer, type Server, type Socket } from 'node:net'
import { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { insert, openDatabase, withTable } from './open-database.ts'

test('a pool that does not pipeline gets one statement at a time, in order', async () => {
  const { url } = await withTable()
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(() => pool.end())
  const { database, numbers } = await withTable({ pool })
  const warnings: Error[] = []
  const listen = (warning: Error): number => warnings.push(warning)
  process.on('warning', listen)

  for (const rerunsWhenUnknown of [false, true]) {
    const first = rerunsWhenUnknown ? 10 : 0
    await database.transaction((tx) => Promise.all([1, 2, 3].map((n) => tx.query(insert, [first + n]))), {
      beforeCommit: (tx) => Promise.all([4, 5].map((n) => tx.query(insert, [first + n]))).then(() => undefined),
      rerunsWhenUnknown,
    })
  }
  const lost = database.transaction((tx) => Promise.allSettled([tx.query(insert, [1]), tx.query(insert, [99])]))

  await expect(lost).rejects.toThrow('duplicate key')
  await new Promise(setImmediate)
  process.off('warning', listen)
  expect(warnings.map(({ message }) => message)).toEqual([])
  expect(await numbers()).toEqual([1, 2, 3, 4, 5, 11, 12, 13, 14, 15])
})

test('a server that ends a connection in the packet in which it opened it is an outage, not the end of this process', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(Buffer.concat([message('R', 0, 0, 0, 0), message('Z', 0x49), shuttingDown])))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined

  for (const pool of [undefined, new Pool({ connectionString: `postgres://me@127.0.0.1:${port}/any` })]) {
    const { database } = await openDatabase({ url: `postgres://me@127.0.0.1:${port}/any`, ...(pool === undefined ? {} : { pool }) })

    await expect(database.transaction((tx) => tx.query('select 1'))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  }
})

test('closing ends the connections of a pool whose server says nothing any more', async () => {
  const { url } = await withTable()
  await using network = await SilentNetwork.to(url)
  const { database } = await withTable({ url: network.url })
  await Promise.all([1, 2].map((n) => database.transaction((tx) => tx.query(insert, [n]))))

  network.silent = true
  await database.close()

  expect(await network.clientsLeft()).toBe(0)
})

test('closing lets a transaction that still runs come to its end', async () => {
  const { database, url } = await withTable()
  const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const running = database.transaction(async (tx) => {
    await tx.query(insert, [1])
    begun.resolve()
    await gate.promise
    await tx.query(insert, [2])
  })

  await begun.promise
  const closed = database.close()
  gate.resolve()
  await Promise.all([running, closed])

  expect(await (await withTable({ url })).numbers()).toEqual([1, 2])
})

/** Forwards bytes until it is silent; then it also keeps a goodbye to itself, as a network does that drops packets. */
class SilentNetwork {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: URL
  readonly #clients = new Set<Socket>()
  silent = false

  private constructor(url: string) {
    this.#target = new URL(url)
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
  }

  static async to(url: string): Promise<SilentNetwork> {
    const network = new SilentNetwork(url)
    await new Promise<void>((resolve) => network.#server.listen(0, '127.0.0.1', resolve))
    return network
  }

  get url(): string {
    const address = this.#server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    return Object.assign(new URL(this.#target), { hostname: '127.0.0.1', port: String(port) }).href
  }

  #accept(client: Socket): void {
    const server = connect({ host: this.#target.hostname, port: Number(this.#target.port), allowHalfOpen: true })
    this.#clients.add(client)
    client.on('close', () => this.#clients.delete(client))
    client.on('data', (bytes) => this.silent || server.write(bytes))
    server.on('data', (bytes) => this.silent || client.write(bytes))
    for (const socket of [client, server]) this.#sockets.add(socket.on('error', () => undefined))
  }

  /** A socket that its process has let go of refuses bytes; one that is only half closed takes them. */
  async clientsLeft(): Promise<number> {
    const notice = Buffer.from([0x4e, 0, 0, 0, 5, 0])
    for (let round = 0; round < 20 && this.#clients.size > 0; round++) {
      for (const client of this.#clients) await new Promise((resolve) => client.write(notice, resolve))
      await new Promise(setImmediate)
    }
    return this.#clients.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

/** One of PostgreSQL's: a letter, the length, and what it says. */
function message(letter: string, ...body: readonly number[]): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + body.length)
  return Buffer.concat([Buffer.from(letter), length, Buffer.from(body)])
}

const shuttingDown = message('E', ...Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'))

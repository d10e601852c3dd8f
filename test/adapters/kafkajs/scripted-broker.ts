import { createServer, type Server, type Socket } from 'node:net'
import { ByteReader } from '../../../src/adapters/wire/byte-reader.ts'
import { WireWriter } from './wire.ts'

const PRODUCE = 0
const METADATA = 3
const API_VERSIONS = 18

export interface ProducedPartition {
  readonly topic: string
  readonly partition: number
  /** What the request holds for it, as a record batch. */
  readonly batch: Buffer
}

interface PartitionAnswer {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
}

type ProduceAnswer = 'cut' | readonly PartitionAnswer[]

/** How to answer one Produce request: an error code per partition, leave a partition out, or cut the connection. */
export type ProduceScript = (partitions: readonly ProducedPartition[]) => ProduceAnswer | Promise<ProduceAnswer>

/** Brokers that name each other, and who leads. Without more, the first leads every partition. */
export class ScriptedCluster {
  readonly ports = new Map<number, number>()
  /** By `topic/partition`. */
  readonly leaders = new Map<string, number>()

  leaderOf(topic: string, partition: number): number {
    return this.leaders.get(`${topic}/${partition}`) ?? 1
  }
}

export const accept: ProduceScript = (partitions) => partitions.map((each) => ({ ...each, errorCode: 0 }))

/**
 * A broker that speaks just enough of Kafka's protocol to be told how to fail, which a real one cannot be.
 */
export class ScriptedBroker {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #scripts: ProduceScript[] = []
  readonly produced: { readonly connection: number; readonly partitions: readonly ProducedPartition[] }[] = []
  readonly topics: Map<string, number>
  readonly #cluster: ScriptedCluster
  readonly #nodeId: number
  connections = 0
  metadataRequests = 0
  #offset = 0n

  constructor(topics: Readonly<Record<string, number>>, cluster: ScriptedCluster = new ScriptedCluster(), nodeId = 1) {
    this.#cluster = cluster
    this.#nodeId = nodeId
    this.topics = new Map(Object.entries(topics))
    this.#server = createServer((socket) => this.#serve(socket, ++this.connections))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.#cluster.ports.set(this.#nodeId, this.#port())
    return `127.0.0.1:${this.#port()}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** How the next Produce requests are answered, one after another; then all are accepted. */
  answerWith(...scripts: readonly ProduceScript[]): void {
    this.#scripts.push(...scripts)
  }

  #port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  #serve(socket: Socket, connection: number): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    let buffered = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk])
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const size = buffered.readInt32BE(0)
        void this.#answer(socket, connection, new ByteReader(buffered, 4, 4 + size))
        buffered = buffered.subarray(4 + size)
      }
    })
  }

  async #answer(socket: Socket, connection: number, request: ByteReader): Promise<void> {
    const apiKey = request.int16()
    request.skip(2)
    const correlationId = request.int32()
    request.text()
    const body = await this.#bodyFor(apiKey, connection, request)
    if (body === 'cut') {
      socket.destroy()
      return
    }
    socket.write(
      new WireWriter()
        .int32(body.length + 4)
        .int32(correlationId)
        .raw(body)
        .bytes(),
    )
  }

  #bodyFor(apiKey: number, connection: number, request: ByteReader): Buffer | 'cut' | Promise<Buffer | 'cut'> {
    if (apiKey === API_VERSIONS) return apiVersions()
    if (apiKey === METADATA) return this.#metadata(request)
    if (apiKey === PRODUCE) return this.#produce(connection, request)
    throw new Error(`The scripted broker does not know request ${apiKey}.`)
  }

  #metadata(request: ByteReader): Buffer {
    this.metadataRequests += 1
    const asked = Array.from({ length: Math.max(0, request.int32()) }, () => request.text())
    return new WireWriter()
      .int32(0)
      .array([...this.#cluster.ports], (writer, [id, port]) => writer.int32(id).text('127.0.0.1').int32(port).text(null))
      .text('scripted')
      .int32(1)
      .array(asked, (writer, topic) => {
        const partitions = Array.from({ length: this.topics.get(topic) ?? 0 }, (_, index) => index)
        writer
          .int16(partitions.length === 0 ? 3 : 0)
          .text(topic)
          .int8(0)
        writer.array(partitions, (each, partition) =>
          each
            .int16(0)
            .int32(partition)
            .int32(this.#cluster.leaderOf(topic, partition))
            .array([1], (w, id) => w.int32(id))
            .array([1], (w, id) => w.int32(id))
            .array([], () => undefined),
        )
      })
      .bytes()
  }

  async #produce(connection: number, request: ByteReader): Promise<Buffer | 'cut'> {
    const partitions = readProduce(request)
    this.produced.push({ connection, partitions })
    const answer = await (this.#scripts.shift() ?? accept)(partitions)
    if (answer === 'cut') return 'cut'
    return new WireWriter()
      .array(answer, (writer, { topic, partition, errorCode }) =>
        writer.text(topic).array([0], (each) =>
          each
            .int32(partition)
            .int16(errorCode)
            .int64(errorCode === 0 ? this.#offset++ : -1n)
            .int64(-1n)
            .int64(0n),
        ),
      )
      .int32(0)
      .bytes()
  }
}

function apiVersions(): Buffer {
  const versions = [
    [PRODUCE, 7],
    [METADATA, 6],
    [API_VERSIONS, 2],
  ] as const
  return new WireWriter()
    .int16(0)
    .array(versions, (writer, [key, max]) => writer.int16(key).int16(0).int16(max))
    .int32(0)
    .bytes()
}

function readProduce(request: ByteReader): ProducedPartition[] {
  request.text() // transaction
  request.skip(6) // acks, timeout
  const partitions: ProducedPartition[] = []
  for (let topics = request.int32(); topics > 0; topics--) {
    const topic = request.text()
    for (let count = request.int32(); count > 0; count--) {
      const partition = request.int32()
      const size = request.int32()
      const start = request.skip(size)
      partitions.push({ topic, partition, batch: Buffer.from(request.bytes.subarray(start, start + size)) })
    }
  }
  return partitions
}

import { createRequire } from 'node:module'

import type { Connection } from '../../../src/adapters/kafkajs/internals.ts'

const require = createRequire(import.meta.url)

interface Encoded {
  readonly buffer: Buffer
}

interface StockMessage {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp: number
  readonly headers: Record<string, Buffer>
}

interface StockRecord {
  readonly offset: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Record<string, Buffer | Buffer[]>
}

interface StockQueue {
  pending: unknown[]
  inflight: Map<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  throttleCheckTimeoutId: unknown
  isConnected(): boolean
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  scheduleRequestTimeoutCheck(): void
  sendSocketRequest(request: unknown): void
  push(request: object): void
  fulfillRequest(response: { correlationId: number; payload: Buffer; size: number }): void
  rejectAll(error: Error): void
  maybeThrottle(ms: number): void
  destroy(): void
}

/** kafkajs as it is, to show what ours does differently and what it must not. */
export const stock = {
  async produceRequest(topic: string, partition: number, messages: readonly StockMessage[], timeout: number): Promise<Buffer> {
    const request: (options: object) => { encode(): Promise<Encoded> } = require('kafkajs/src/protocol/requests/produce/v3/request')
    const topicData = [{ topic, partitions: [{ partition, firstSequence: 0, messages }] }]
    return (await request({ acks: -1, timeout, topicData }).encode()).buffer
  },

  /** Reads the records of one partition, which kafkajs expects behind their length. */
  async decodeMessages(batches: Buffer): Promise<readonly StockRecord[]> {
    const Decoder: new (bytes: Buffer) => object = require('kafkajs/src/protocol/decoder')
    const decode: (decoder: object) => Promise<readonly StockRecord[]> = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages')
    const length = Buffer.alloc(4)
    length.writeInt32BE(batches.length)
    return await decode(new Decoder(Buffer.concat([length, batches])))
  },

  crc32c(bytes: Buffer): number {
    const crc: (bytes: Buffer) => number = require('kafkajs/src/protocol/recordBatch/crc32C/crc32C')
    return crc(bytes)
  },

  /** To a broker to which it never connects. */
  connection(): Connection {
    const Stock: new (options: object) => Connection = require('kafkajs/src/network/connection')
    const logger = { debug: () => undefined, warn: () => undefined, error: () => undefined, namespace: () => logger }
    const connection = new Stock({
      host: '127.0.0.1',
      port: 1,
      logger,
      socketFactory: () => undefined,
      clientId: 'test',
      requestTimeout: 30_000,
    })
    connection.connect = async () => true
    return connection
  },

  requestQueue(): StockQueue {
    const Queue: new (options: object) => StockQueue = require('kafkajs/src/network/requestQueue')
    const logger = { debug: () => undefined, warn: () => undefined }
    return new Queue({
      maxInFlightRequests: null,
      requestTimeout: 30_000,
      enforceRequestTimeout: true,
      clientId: 'test',
      broker: 'test',
      logger,
    })
  },
}

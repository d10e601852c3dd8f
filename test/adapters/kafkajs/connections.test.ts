import { expect, test } from 'vitest'
import type { Connection, ConnectionPool } from '../../../src/adapters/kafkajs/internals.ts'
import { sendUncopied } from '../../../src/adapters/kafkajs/overrides/copied-requests.ts'
import { separateConnections } from '../../../src/adapters/kafkajs/overrides/replies-across-connections.ts'
import { until } from '../../kit/wait.ts'
import { stock } from './stock.ts'
import { WireWriter } from './wire.ts'

function ours(): { readonly connection: Connection; readonly ended: string[] } {
  const ended: string[] = []
  const socket = Object.assign(Object.create(null), {
    destroy: (error: Error) => ended.push(error.message),
    removeAllListeners: () => undefined,
  })
  const connection = Object.assign(stock.connection(), { socket })
  separateConnections(connection)
  return { connection, ended }
}

/** A reply of twelve bytes, and what a connection that is cut in its middle brings of it. */
const reply = new WireWriter().int32(12).int32(7).int32(-1).int32(-1).bytes()
const half = reply.subarray(0, 8)

test('a reply that was cut half-way is no part of what the next connection brings, where kafkajs reads on and throws in its socket', async () => {
  const theirs = stock.connection()
  theirs.processData(half)
  await theirs.connect()
  expect(() => theirs.processData(reply)).toThrow(TypeError)

  const { connection, ended } = ours()
  connection.processData(half)
  await connection.connect()
  connection.processData(reply)

  expect([connection.bytesBuffered, connection.bytesNeeded, ended]).toEqual([0, 4, []])
})

test('reads a reply that comes byte by byte', () => {
  const { connection, ended } = ours()

  for (const byte of reply) connection.processData(Buffer.of(byte))

  expect([connection.bytesBuffered, ended]).toEqual([0, []])
})

test('what was read in pieces is given back when the reply is whole; what came in one piece is the reply, and stays', () => {
  const large = new WireWriter().int32(200_004).int32(7).bytes()
  const body = Buffer.alloc(200_000, 'x')
  const pieces = [large, body.subarray(0, 65_536), Buffer.concat([body.subarray(65_536), reply])].map(ownCopy)
  const single = ownCopy(Buffer.concat([large, body]))
  const { connection, ended } = ours()
  const payloads: Buffer[] = []
  Object.assign(connection.requestQueue, { fulfillRequest: ({ payload }: { payload: Buffer }) => payloads.push(payload) })

  for (const bytes of [...pieces, single]) connection.processData(bytes)

  expect(pieces.map(({ length }) => length)).toEqual([0, 0, 0])
  expect(payloads.map(({ length }) => length)).toEqual([200_000, 8, 200_000])
  expect(payloads[0]?.equals(body) && payloads[2]?.equals(body)).toBe(true)
  expect(ended).toEqual([])
})

/** As a socket has it: memory of its own. */
function ownCopy(bytes: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

test.each([
  ['TLS', Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]), 'it speaks TLS'],
  ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'it speaks HTTP'],
  ['something else', Buffer.from('SSH-2.0-OpenSSH\r\n'), 'it does not speak the protocol of Kafka'],
  ['a length below nothing', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]), ''],
])('ends a connection that answers with %s, instead of waiting for gigabytes or throwing where nobody catches', (_, bytes, words) => {
  const { connection, ended } = ours()

  connection.processData(bytes)

  expect(ended).toEqual([expect.stringContaining(words)])
})

test('asked twice it connects once', async () => {
  let connects = 0
  const connection = stock.connection()
  const connected = Promise.withResolvers<boolean>()
  connection.connect = () => {
    connects += 1
    return connected.promise
  }
  separateConnections(connection)

  const both = Promise.all([connection.connect(), connection.connect()])
  connected.resolve(true)
  await both

  expect(connects).toBe(1)
})

/** A request of these bytes on its way over a connection that answers nothing. */
function producing(body: Buffer, { leaves = true } = {}) {
  const written: Buffer[] = []
  const socket = Object.assign(Object.create(null), {
    cork: () => undefined,
    uncork: () => undefined,
    write: (bytes: Buffer, onLeft?: () => void) => {
      written.push(bytes)
      if (leaves) onLeft?.()
    },
  })
  const connection = Object.assign(stock.connection(), { socket, isConnected: () => true, isAuthenticated: () => true })
  const pool: ConnectionPool = { pool: [connection], getConnectionByRequest: async () => connection, send: async () => 'copied' }
  sendUncopied(pool)
  const request = { apiKey: 0, apiVersion: 7, apiName: 'Produce', encode: async () => ({ buf: body, buffer: body }) }
  const sent = pool.send({ request, response: { decode: async () => ({ clientSideThrottleTime: 0 }), parse: async () => 'answered' } })
  return { connection, written, sent }
}

test('a Produce request reaches the socket as it was encoded, behind a header that holds its length, where kafkajs copies it twice', async () => {
  const body = Buffer.alloc(100_000, 'x')
  const { connection, written, sent } = producing(body)

  await until('the request', () => written.length === 2)
  connection.requestQueue.rejectAll(new Error('the test is over'))

  await expect(sent).rejects.toThrow('the test is over')
  expect(written[1]).toBe(body)
  expect(written[0]?.readInt32BE(0)).toBe(100_000 + (written[0]?.length ?? 0) - 4)
})

test('the memory of a Produce request is given back when the broker has answered; after any other end the socket may have it still', async () => {
  const [first, second] = [Buffer.allocUnsafeSlow(100_000), Buffer.allocUnsafeSlow(100_000)]
  const [answered, lost] = [producing(first), producing(second)]
  await until('both requests', () => answered.written.length + lost.written.length === 4)
  const kept = [first.length, second.length]

  answer(answered)
  lost.connection.requestQueue.rejectAll(new Error('the connection ended'))

  expect(await answered.sent).toBe('answered')
  await expect(lost.sent).rejects.toThrow('the connection ended')
  expect([kept, first.length, second.length]).toEqual([[100_000, 100_000], 0, 100_000])
})

test('an answer to what is still on its way gives no memory back: it would be sent with what somebody else wrote there', async () => {
  const body = Buffer.allocUnsafeSlow(100_000)
  const early = producing(body, { leaves: false })
  await until('the request', () => early.written.length === 2)

  answer(early)

  expect(await early.sent).toBe('answered')
  expect(body.length).toBe(100_000)
})

function answer({ connection, written }: ReturnType<typeof producing>): void {
  const correlationId = written[0]?.readInt32BE(8) ?? 0
  connection.processData(new WireWriter().int32(4).int32(correlationId).bytes())
}

import { freeNow } from '../../../foundation/free-now.ts'
import { PRODUCE_API } from '../../wire/produce-body.ts'
import type { Connection, ConnectionPool, ProtocolRequest } from '../internals.ts'

/** Length, api, version, correlation and the length of the client's name. */
const HEADER_BYTES = 14

/**
 * Removes: kafkajs copies each request twice, into zeroed buffers of the next power of two. For two megabytes of records
 * that is ten megabytes of memory touched, half a microsecond a record.
 *
 * A Produce request goes to the socket as it was encoded, behind its header, in kafkajs's queue like every other.
 */
export function sendUncopied(pool: ConnectionPool): void {
  const send = pool.send
  pool.send = async function sendProduceUncopied<Reply>(protocol: ProtocolRequest<Reply>): Promise<unknown> {
    if (protocol.request.apiKey !== PRODUCE_API.key) return await send.call(pool, protocol)
    const connection = await pool.getConnectionByRequest(protocol)
    // kafkajs logs in before the first request of a connection, and again before a session ends.
    if (!connection.isAuthenticated()) await connection.authenticate()
    connection.failIfNotConnected()
    const { buffer } = await protocol.request.encode()
    const body = { bytes: buffer, hasLeft: false }
    const answer = await replied(connection, protocol, body)
    // Whatever answers, or ends, before all of it was read leaves the socket with it, which would send what is written to
    // that memory next. Garbage collection takes it then.
    if (body.hasLeft) freeNow(buffer)
    const reply = await protocol.response.decode(answer)
    connection.requestQueue.maybeThrottle(Number(Reflect.get(Object(reply), 'clientSideThrottleTime')))
    return await protocol.response.parse(reply)
  }
}

interface RequestBody {
  readonly bytes: Buffer
  /** Whether the system has taken all of it from the socket. */
  hasLeft: boolean
}

async function replied(connection: Connection, { request }: ProtocolRequest<unknown>, body: RequestBody): Promise<Buffer> {
  const { apiKey, apiVersion, apiName } = request
  const correlationId = connection.nextCorrelationId()
  const header = requestHeader({ apiKey, apiVersion, correlationId, clientId: connection.clientId }, body.bytes.length)
  const { payload } = await new Promise<{ readonly payload: Buffer }>((resolve, reject) => {
    connection.failIfNotConnected()
    connection.requestQueue.push({
      entry: { apiKey, apiName, apiVersion, correlationId, resolve, reject },
      expectResponse: true,
      requestTimeout: null,
      sendRequest: () => {
        const { socket } = connection
        socket?.cork()
        socket?.write(header)
        socket?.write(body.bytes, () => {
          body.hasLeft = true
        })
        socket?.uncork()
      },
    })
  })
  return payload
}

interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string
}

function requestHeader({ apiKey, apiVersion, correlationId, clientId }: RequestHeader, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(clientId))
  header.writeInt32BE(header.length - 4 + bodyBytes, 0)
  header.writeInt16BE(apiKey, 4)
  header.writeInt16BE(apiVersion, 6)
  header.writeInt32BE(correlationId, 8)
  header.writeInt16BE(Buffer.byteLength(clientId), 12)
  header.write(clientId, HEADER_BYTES)
  return header
}

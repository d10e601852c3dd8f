import { connect, isIP, type Socket } from 'node:net'
import { connect as secure } from 'node:tls'
import type { Client } from 'pg'

const ANSWER_TIMEOUT_MS = 2_000
const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

/** What became of a request: the server has acted on it, it never left, or it may still be acted on. */
export type CancelFate = 'seen' | 'unsent' | 'unknown'

/**
 * Asks the server to break off what this connection runs, as any client may by the key that it got at its start. Poolers
 * pass it on. Whether it comes in time nobody says.
 *
 * @returns when the server has seen it, or has not answered within `answerTimeoutMs`. After `'unknown'` it may hit any later
 * statement of the connection, which is therefore to be ended. Never rejects
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function requestCancel(client: Client, answerTimeoutMs = ANSWER_TIMEOUT_MS): Promise<CancelFate> {
  // The driver keeps them, its types do not tell.
  const [processId, key] = [Reflect.get(client, 'processID'), Reflect.get(client, 'secretKey')]
  if (typeof processId !== 'number' || typeof key !== 'number') return 'unsent'
  const bytes = packet(CANCEL_REQUEST, processId, key)
  const socket = connectBeside(client)
  const request = { sent: false, failed: false }
  const send = (to: Socket): void => {
    request.sent = true
    to.write(bytes)
  }
  socket.on('error', () => {
    request.failed = true
  })
  const timer = setTimeout(() => socket.destroy(new Error('no answer')), answerTimeoutMs)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const ssl: unknown = Reflect.get(client, 'ssl')
  if (ssl === false) socket.once('connect', () => send(socket))
  else secured(socket, typeof ssl === 'object' && ssl !== null ? ssl : {}, client.host, send)
  // It is closed when the signal was sent: only then may the next statement follow, or the signal might meet that one.
  await closed
  clearTimeout(timer)
  if (!request.sent) return 'unsent'
  return request.failed ? 'unknown' : 'seen'
}

/** To the very server that the connection has: a name may stand for several. */
function connectBeside({ connection, host, port }: Client): Socket {
  const [address, itsPort] = [Reflect.get(connection.stream, 'remoteAddress'), Reflect.get(connection.stream, 'remotePort')]
  if (typeof address === 'string' && typeof itsPort === 'number') return connect(itsPort, address)
  return host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host)
}

function secured(socket: Socket, options: object, host: string, send: (to: Socket) => void): void {
  socket.write(packet(SSL_REQUEST))
  socket.once('data', (answer) => {
    if (String(answer) !== 'S') return socket.destroy()
    // The driver hides a client's private key from whoever lists the options.
    const key: unknown = Reflect.get(options, 'key')
    const own = key === undefined ? options : { ...options, key }
    const encrypted = secure({ host, ...own, socket, ...(isIP(host) === 0 ? { servername: host } : {}) })
    encrypted.on('error', (error) => socket.destroy(error))
    encrypted.once('secureConnect', () => send(encrypted))
  })
}

function packet(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + numbers.length * 4)
  bytes.writeInt32BE(bytes.length, 0)
  for (const [index, number] of numbers.entries()) bytes.writeInt32BE(number, 4 + index * 4)
  return bytes
}

import { connect, type Socket } from 'node:net'
import { connect as secure } from 'node:tls'
import type { Client } from 'pg'

const ANSWER_TIMEOUT_MS = 2_000
const SSL_REQUEST = 80_877_103
const CANCEL_REQUEST = 80_877_102

/**
 * Asks the server to break off what this connection runs, as any client may by the key that it got at its start. Poolers
 * pass it on. Whether it comes in time nobody says.
 *
 * @returns resolves when the server has seen it, or has not answered within two seconds. Never rejects
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
export async function requestCancel(client: Client): Promise<void> {
  // The driver keeps them, its types do not tell.
  const [processId, key] = [Reflect.get(client, 'processID'), Reflect.get(client, 'secretKey')]
  if (typeof processId !== 'number' || typeof key !== 'number') return
  const socket = client.host.startsWith('/') ? connect(`${client.host}/.s.PGSQL.${client.port}`) : connect(client.port, client.host)
  socket.on('error', () => undefined)
  const timer = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const ssl: unknown = Reflect.get(client, 'ssl')
  if (ssl === false) socket.write(packet(CANCEL_REQUEST, processId, key))
  else sendSecurely(socket, typeof ssl === 'object' && ssl !== null ? ssl : {}, client.host, packet(CANCEL_REQUEST, processId, key))
  // It is closed when the signal was sent: only then may the next statement follow, or the signal might meet that one.
  await closed
  clearTimeout(timer)
}

function sendSecurely(socket: Socket, options: object, host: string, bytes: Buffer): void {
  socket.write(packet(SSL_REQUEST))
  socket.once('data', (answer) => {
    if (String(answer) !== 'S') return socket.destroy()
    // The driver hides a client's private key from whoever lists the options.
    const key: unknown = Reflect.get(options, 'key')
    const own = key === undefined ? options : { ...options, key }
    const encrypted = secure({ ...own, socket, ...(/^[\d.:]+$/.test(host) ? {} : { servername: host }) })
    encrypted.on('error', () => socket.destroy())
    encrypted.once('secureConnect', () => encrypted.write(bytes))
  })
}

function packet(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + numbers.length * 4)
  bytes.writeInt32BE(bytes.length, 0)
  for (const [index, number] of numbers.entries()) bytes.writeInt32BE(number, 4 + index * 4)
  return bytes
}

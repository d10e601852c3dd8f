import type { PoolClient } from 'pg'

interface Corked {
  readonly writableLength: number
  cork(): void
  uncork(): void
}

/** Then the server begins with the first statements while the next ones are still written. */
const GATHERED_BYTES_MAX = 4_096

const gathering = new WeakSet<Corked>()

/**
 * Lets the statements that are sent in one turn of the event loop leave in one write.
 *
 * The driver writes each by itself: side by side, five hundred statements are five hundred system calls, and those are
 * most of what a batch costs this process. Where the driver does not show its socket, everything stays as it is.
 */
export function gatherWrites(client: PoolClient): void {
  const socket = socketOf(client)
  if (socket === undefined) return
  if (gathering.has(socket)) {
    if (socket.writableLength < GATHERED_BYTES_MAX) return
    socket.uncork()
    socket.cork()
    return
  }
  gathering.add(socket)
  socket.cork()
  // It runs when nothing else of this turn is left to run: whoever was to send something has sent it.
  process.nextTick(() => {
    gathering.delete(socket)
    socket.uncork()
  })
}

/** Of a connection with TLS it is the encrypted stream, which is renewed; so it is asked for each time. */
function socketOf(client: PoolClient): Corked | undefined {
  const connection: unknown = Reflect.get(client, 'connection')
  const stream: unknown = isObject(connection) ? Reflect.get(connection, 'stream') : undefined
  return isCorked(stream) ? stream : undefined
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isCorked(value: unknown): value is Corked {
  return isObject(value) && ['cork', 'uncork'].every((name) => typeof Reflect.get(value, name) === 'function')
}

import { messageOf } from '../../../foundation/errors.ts'
import { freeNow } from '../../../foundation/free-now.ts'
import { strangeReply } from '../../wire/protocol-mismatch.ts'
import type { Connection } from '../internals.ts'

const LENGTH_BYTES = 4
/** A reply holds one fetch of ten megabytes or one batch of the largest topic; no other protocol begins with a number below it. */
const REPLY_BYTES_MAX = 256 * 1024 * 1024

/**
 * Removes: kafkajs keeps what came of a reply when a connection ends in the middle of it, and reads the next
 * connection's bytes as its rest. What follows has lengths that nobody wrote: it waits for gigabytes, or throws where
 * nobody catches, which ends the process. It also connects twice when asked twice, and reads both into one buffer.
 *
 * Here each connection begins with nothing, and one that does not speak Kafka is ended with words that say so.
 */
export function separateConnections(connection: Connection): void {
  const { connect, processData } = connection
  let connecting: Promise<unknown> | undefined
  connection.connect = function connectOnce(): Promise<unknown> {
    if (connection.isConnected()) return Promise.resolve(true)
    connecting ??= beginAnew(connection, connect).finally(() => {
      connecting = undefined
    })
    return connecting
  }
  connection.processData = function readBounded(bytes: Buffer): void {
    const gathered = connection.chunks
    try {
      processData.call(connection, bytes)
      // Several are copied into one reply, and nobody has them any more; a single one is the reply.
      if (gathered.length > 1 && connection.chunks !== gathered) gathered.forEach(freeNow)
      if (connection.bytesNeeded < LENGTH_BYTES || connection.bytesNeeded > REPLY_BYTES_MAX)
        throw new Error(strangeReply(connection.chunks[0]))
    } catch (error) {
      connection.socket?.destroy(new Error(messageOf(error)))
    }
  }
}

async function beginAnew(connection: Connection, connect: () => Promise<unknown>): Promise<unknown> {
  // What an old socket still gets is not for the new one.
  connection.socket?.removeAllListeners('data')
  connection.chunks = []
  connection.bytesBuffered = 0
  connection.bytesNeeded = LENGTH_BYTES
  return await connect.call(connection)
}

import { connect } from 'node:net'

const metadataKey = 3
/** The oldest version that tells the cluster's id. Kafka 4 still answers it. */
const metadataVersion = 2

export interface ClusterView {
  /** Tells ours from a cluster of somebody else that took the port first. */
  readonly clusterId: string
  readonly nodes: readonly number[]
}

/**
 * Asks one broker which brokers are in the cluster.
 *
 * A few bytes of the protocol by hand, because a client library would bring its own retries and log lines to a
 * question that is asked every few milliseconds while a server starts.
 *
 * @returns the nodes that are alive; `undefined` when the broker does not answer yet
 * @see https://kafka.apache.org/protocol
 */
export async function viewOf(host: string, port: number, withinMs: number): Promise<ClusterView | undefined> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port })
    let received = Buffer.alloc(0)
    const end = (view: ClusterView | undefined): void => {
      socket.destroy()
      resolve(view)
    }
    socket.setTimeout(withinMs, () => end(undefined))
    socket.once('error', () => end(undefined))
    socket.once('end', () => end(undefined))
    socket.once('connect', () => socket.write(metadataRequest()))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) end(viewIn(received))
    })
  })
}

function metadataRequest(): Buffer {
  const clientId = Buffer.from('trunkline-stack')
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + clientId.length + 4)
  request.writeInt32BE(request.length - 4, 0)
  request.writeInt16BE(metadataKey, 4)
  request.writeInt16BE(metadataVersion, 6)
  request.writeInt32BE(1, 8)
  request.writeInt16BE(clientId.length, 12)
  clientId.copy(request, 14)
  request.writeInt32BE(0, 14 + clientId.length)
  return request
}

function viewIn(response: Buffer): ClusterView | undefined {
  try {
    const nodes: number[] = []
    let at = 8
    const count = response.readInt32BE(at)
    at += 4
    for (let index = 0; index < count; index++) {
      nodes.push(response.readInt32BE(at))
      at += 4
      at += 2 + response.readInt16BE(at)
      at += 4
      at += 2 + Math.max(0, response.readInt16BE(at))
    }
    const length = Math.max(0, response.readInt16BE(at))
    return { clusterId: response.toString('utf8', at + 2, at + 2 + length), nodes }
  } catch {
    // A service that is not Kafka answered with something else.
    return undefined
  }
}

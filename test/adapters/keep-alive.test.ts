import { createServer, type Server } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { KafkajsClient } from '../../src/adapters/kafkajs/client.ts'
import { Connections } from '../../src/adapters/platformatic/connections.ts'
import { loadLibrary } from '../../src/adapters/platformatic/library.ts'
import { SingleSession } from '../../src/adapters/postgres/single-session.ts'
import { canSeeSockets, probedAfterMs } from '../kit/sockets.ts'
import { until } from '../kit/wait.ts'
import { openDatabase } from './postgres/open-database.ts'

/** @returns after how long each of so many connections is probed: a network that drops what it carries says nothing by itself */
async function probes(port: number, connections: number): Promise<readonly number[]> {
  return await until(`${connections} connections to port ${port}`, () => {
    const found = probedAfterMs(port).filter((ms) => ms !== undefined)
    return found.length === connections && found
  })
}

/** Within the time of a lease, or of a member's session. */
const soon = expect.toSatisfy((ms: number) => ms <= 10_000)

/** Somebody who takes connections and says nothing. */
async function silentServer(): Promise<number> {
  const server: Server = createServer((socket) => socket.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

describe.skipIf(!canSeeSockets)('a connection is probed while nobody says anything', () => {
  test("to PostgreSQL: the pool's, and the relay's own", async () => {
    const { database, url } = await openDatabase()
    await database.outside.query('select 1')
    const session = await SingleSession.open({ connectionString: url }, 'trunkline test', () => undefined)
    onTestFinished(() => session.close(1_000))

    expect(await probes(Number(new URL(url).port), 2)).toEqual([soon, soon])
  })

  test('to Kafka, by the first driver', async () => {
    const port = await silentServer()
    const client = new KafkajsClient({ brokers: [`127.0.0.1:${port}`], clientId: 'test' })
    const connecting = client.connect().catch(() => undefined)

    expect(await probes(port, 1)).toEqual([soon])

    client.destroy('the test is over')
    await connecting
  })

  test('to Kafka, by the second driver', async () => {
    const port = await silentServer()
    const connections = new Connections(await loadLibrary(), { brokers: [`127.0.0.1:${port}`], clientId: 'test' }, 0)
    await connections.to('any', 'requests')

    expect(await probes(port, 1)).toEqual([soon])

    connections.end('the test is over')
  })
})

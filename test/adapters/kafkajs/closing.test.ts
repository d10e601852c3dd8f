import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { kafkajsAdmin } from '../../../src/adapters/kafkajs/admin.ts'
import { KafkajsClient } from '../../../src/adapters/kafkajs/client.ts'
import { kafkajsProducer } from '../../../src/adapters/kafkajs/producer.ts'
import { soon } from '../../conformance/log-subject.ts'
import { until } from '../../kit/wait.ts'
import { ScriptedBroker } from './scripted-broker.ts'

async function broker(): Promise<{ readonly broker: ScriptedBroker; readonly address: string }> {
  const scripted = new ScriptedBroker({ orders: 1 })
  onTestFinished(() => scripted.close())
  return { broker: scripted, address: await scripted.listen() }
}

test('a client that was destroyed asks nothing over a new connection', async () => {
  const { broker: scripted, address } = await broker()
  const client = new KafkajsClient({ brokers: [address], clientId: 'test' })
  await client.connect()
  const asked = scripted.metadataRequests

  client.destroy('It is replaced.')

  // The first request finds its connection cut; for those after it kafkajs connects anew.
  for (let request = 1; request <= 3; request++) {
    await expect(client.refreshLeaders('orders')).rejects.toMatchObject({ name: 'TransientError' })
  }
  expect(scripted.metadataRequests).toBe(asked)
})

test('a producer that is stopped while it connects cuts the connection and ends its start', async () => {
  const sockets: Socket[] = []
  const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const address = silent.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const producer = kafkajsProducer({ address: { brokers: [`127.0.0.1:${port}`], clientId: 'test' } })
  const started = producer.start(soon()).catch((error: unknown) => error)
  const socket = await until('a connection', () => sockets[0])
  socket.resume()

  await producer.stop(100)

  expect(await started).toMatchObject({ code: 'STOPPED' })
  await until('the end of the connection', () => socket.closed, 2_000)
  expect(sockets).toHaveLength(1)
})

test('an admin client that was closed refuses to ask, and connects no more', async () => {
  const { broker: scripted, address } = await broker()
  const admin = kafkajsAdmin({ brokers: [address], clientId: 'test' })
  expect(await admin.partitionsOf('orders')).toBe(1)
  await admin.close()
  const { connections } = scripted

  const asked = admin.partitionsOf('orders')

  await expect(asked).rejects.toMatchObject({ name: 'TransientError', code: 'STOPPED' })
  expect(scripted.connections).toBe(connections)
})

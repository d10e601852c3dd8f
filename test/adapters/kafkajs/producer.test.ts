import { afterEach, beforeEach, expect, test } from 'vitest'
import { kafkajsProducer } from '../../../src/adapters/kafkajs/producer.ts'
import type { AppendOutcome, LogProducer } from '../../../src/core/broker/log-producer.ts'
import type { DiagnosticCatalogue } from '../../../src/core/diagnostics.ts'
import { Diagnostics } from '../../../src/foundation/diagnostics.ts'
import { numbered, soon } from '../../conformance/log-subject.ts'
import { accept, type ProduceScript, ScriptedBroker } from './scripted-broker.ts'

let broker: ScriptedBroker
let producer: LogProducer
let replaced: string[]
let address: string

beforeEach(async () => {
  broker = new ScriptedBroker({ orders: 4, stock: 1 })
  address = await broker.listen()
  const diagnostics = new Diagnostics<DiagnosticCatalogue>()
  replaced = []
  diagnostics.on(({ name }) => {
    if (name === 'producer.replaced') replaced.push(name)
  })
  producer = kafkajsProducer({ address: { brokers: [address], clientId: 'test' }, diagnostics })
  await producer.start(soon())
})

afterEach(async () => {
  await producer.stop(1_000)
  await broker.close()
})

function answering(errorCode: number): ProduceScript {
  return (partitions) => partitions.map((each) => ({ ...each, errorCode }))
}

function append(partition: number, topic = 'orders'): Promise<AppendOutcome> {
  return producer.append({ topic, partition }, numbered(2))
}

test.each([
  ['the topic is unknown', 3, 'topic'],
  ['the leader has moved', 6, 'cluster'],
  ['too few replicas are in sync, before the append', 19, 'cluster'],
  ['the message is too large', 10, 'record'],
  ['the batch is too large', 18, 'record'],
  ['the record is invalid', 87, 'record'],
  ['the topic may not be written', 29, 'topic'],
])('refuses with its scope when %s', async (_, errorCode, scope) => {
  broker.answerWith(answering(errorCode))

  const outcome = await append(0)

  expect(outcome).toMatchObject({ status: 'refused', scope })
  expect(replaced).toEqual([])
  expect(await append(0)).toMatchObject({ status: 'acked' })
})

test.each([
  ['too few replicas were in sync after the append', 20],
  ['the broker timed out waiting for replicas', 7],
  ['the broker failed to store it', 56],
  ['the code is one that nobody knows', 4711],
])('does not know the outcome when %s, and sends the next over a new connection', async (_, errorCode) => {
  broker.answerWith(answering(errorCode))

  const outcome = await append(0)
  const again = await append(0)

  expect(outcome).toMatchObject({ status: 'unknown', reason: { name: 'UnknownOutcomeError' } })
  expect(again).toMatchObject({ status: 'acked' })
  expect(replaced).toHaveLength(1)
  expect(broker.produced[0]?.connection).not.toBe(broker.produced[1]?.connection)
})

test('does not know the outcome when the connection is cut after the request, and sends the next over a new one', async () => {
  broker.answerWith(() => 'cut')

  const outcome = await append(0)
  const again = await append(0)

  expect([outcome.status, again.status]).toEqual(['unknown', 'acked'])
  expect(broker.produced[0]?.connection).not.toBe(broker.produced[1]?.connection)
})

test('takes as acknowledged only the partitions that the answer names', async () => {
  broker.answerWith((partitions) => accept(partitions.filter(({ partition }) => partition !== 2)))

  const outcomes = await Promise.all([0, 1, 2, 3].map((partition) => append(partition)))

  expect(outcomes.map(({ status }) => status)).toEqual(['acked', 'acked', 'unknown', 'acked'])
})

test('gives each partition of one request its own outcome', async () => {
  const codes = [0, 6, 10, 0]
  broker.answerWith((partitions) => partitions.map((each) => ({ ...each, errorCode: codes[each.partition] ?? 0 })))

  const outcomes = await Promise.all(codes.map((_, partition) => append(partition)))

  expect(broker.produced).toHaveLength(1)
  expect(outcomes).toMatchObject([{ status: 'acked' }, { scope: 'cluster' }, { scope: 'record' }, { status: 'acked' }])
})

test('asks for the leaders again after one has moved', async () => {
  await append(0)
  const before = broker.metadataRequests
  broker.answerWith(answering(6))

  await append(0)
  await append(0)

  expect(broker.metadataRequests).toBe(before + 1)
})

test('refuses a topic that has vanished and goes on with its neighbours', async () => {
  await Promise.all([append(0), append(0, 'stock')])
  broker.topics.delete('stock')
  broker.answerWith(answering(3))

  const vanished = await append(0, 'stock')
  const [still, neighbour] = await Promise.all([append(0, 'stock'), append(0)])

  expect(vanished).toMatchObject({ status: 'refused', scope: 'topic' })
  expect(still).toMatchObject({ status: 'refused', scope: 'topic', reason: { code: 'TOPIC_MISSING' } })
  expect(neighbour).toMatchObject({ status: 'acked' })
})

test('refuses a second batch for a partition whose first is in flight', async () => {
  const [first, second] = await Promise.all([append(0), append(0)])

  expect(first).toMatchObject({ status: 'acked' })
  expect(second).toMatchObject({ status: 'refused', reason: { code: 'PARTITION_BUSY' } })
})

test('refuses while no broker can be reached, and names the address', async () => {
  await append(0)
  const port = Number(address.split(':')[1])
  await broker.close()

  const statuses: string[] = []
  let outcome = await append(0)
  for (; outcome.status === 'unknown'; outcome = await append(0)) statuses.push(outcome.status)

  expect(outcome).toMatchObject({ status: 'refused', scope: 'cluster', reason: { code: 'BROKER_UNREACHABLE' } })
  expect(outcome.status === 'refused' && outcome.reason.message).toContain(`127.0.0.1:${port}`)
  expect(statuses.length).toBeLessThanOrEqual(1)
})

test('gives up starting when the signal aborts, and names the address', async () => {
  await broker.close()
  const lonely = kafkajsProducer({ address: { brokers: [address], clientId: 'test' } })

  await expect(lonely.start(AbortSignal.timeout(400))).rejects.toMatchObject({
    code: 'BROKER_UNREACHABLE',
    message: expect.stringContaining(address),
  })
})

test('tries the other addresses when the first does not answer', async () => {
  const patient = kafkajsProducer({ address: { brokers: ['127.0.0.1:1', address], clientId: 'test' } })

  await patient.start(soon())

  expect(await patient.append({ topic: 'orders', partition: 0 }, numbered(1))).toMatchObject({ status: 'acked' })
  await patient.stop(1_000)
})

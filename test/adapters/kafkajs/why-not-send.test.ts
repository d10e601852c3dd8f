import { setTimeout as pause } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners, type Producer } from 'kafkajs'
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { decodeRecords } from '../../../src/adapters/wire/record-decoder.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'
import { appended, makeTopic, record, soon, uniqueName } from '../../conformance/log-subject.ts'
import { KafkaProxy } from '../../kit/kafka-proxy.ts'
import { accept, type ProduceScript, ScriptedBroker, ScriptedCluster } from './scripted-broker.ts'

/** Why kafkajs's own `send` is not used: each case shows what it loses or doubles, and ours under the same fault. */

function stockProducer(brokers: readonly string[], options: { readonly idempotent?: boolean; readonly retries?: number } = {}): Producer {
  const { idempotent = false, retries = 5 } = options
  const client = new Kafka({ brokers: [...brokers], clientId: 'stock', logLevel: logLevel.NOTHING })
  const producer = client.producer({
    idempotent,
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
    retry: { retries, initialRetryTime: 20, maxRetryTime: 50 },
  })
  onTestFinished(() => producer.disconnect())
  return producer
}

describe('two brokers, each leads one of two partitions', () => {
  let cluster: ScriptedCluster
  let brokers: readonly [ScriptedBroker, ScriptedBroker]
  let addresses: string[]
  /** What each partition's log holds. */
  let logs: string[][]

  beforeEach(async () => {
    cluster = new ScriptedCluster()
    cluster.leaders.set('orders/1', 2)
    brokers = [new ScriptedBroker({ orders: 2 }, cluster, 1), new ScriptedBroker({ orders: 2 }, cluster, 2)]
    addresses = [await brokers[0].listen(), await brokers[1].listen()]
    logs = [[], []]
    onTestFinished(async () => {
      await Promise.all(brokers.map((broker) => broker.close()))
    })
  })

  const store: ProduceScript = async (partitions) => {
    for (const { partition, batch } of partitions) {
      for (const each of await decodeRecords(batch, [])) logs[partition]?.push('value' in each ? String(each.value) : '')
    }
    return accept(partitions)
  }

  const refuse =
    (errorCode: number, then: () => void = () => undefined): ProduceScript =>
    (partitions) => {
      then()
      return partitions.map((each) => ({ ...each, errorCode }))
    }

  async function ours(): Promise<LogDriver> {
    const log = kafkajsLog({ brokers: addresses, clientId: 'ours' })
    onTestFinished(() => log.producer.stop(1_000))
    await log.producer.start(soon())
    return log
  }

  /** As the relay does. */
  async function appendUntilAcked(log: LogDriver, partition: number, values: readonly string[]): Promise<void> {
    const batch = values.map((value) => record(value))
    while ((await log.producer.append({ topic: 'orders', partition }, batch)).status !== 'acked') await pause(10)
  }

  const toBoth = [
    { partition: 0, value: 'a' },
    { partition: 1, value: 'b' },
  ]
  const moveToSecond = refuse(6, () => cluster.leaders.set('orders/0', 2))

  test('P1: when a leader moves to a broker that has answered already, send resolves and its records are never sent; ours are', async () => {
    brokers[0].answerWith(moveToSecond)
    brokers[1].answerWith(store, store)
    const producer = stockProducer(addresses)
    await producer.connect()

    await producer.send({ topic: 'orders', acks: -1, messages: toBoth })
    expect(logs).toEqual([[], ['b']])

    cluster.leaders.set('orders/0', 1)
    brokers[0].answerWith(moveToSecond)
    brokers[1].answerWith(store, store)
    const log = await ours()
    await Promise.all([appendUntilAcked(log, 0, ['a']), appendUntilAcked(log, 1, ['b'])])
    expect(logs).toEqual([['a'], ['b', 'b']])
  })

  test('P2: when a broker fails once, records without a key are dealt anew: some are lost, others doubled; ours are in their place', async () => {
    brokers[0].answerWith(refuse(5), store)
    brokers[1].answerWith(store, store)
    const values = Array.from({ length: 11 }, (_, index) => String(index))
    const producer = stockProducer(addresses)
    await producer.connect()

    await producer.send({ topic: 'orders', acks: -1, messages: values.map((value) => ({ value })) })
    const theirs = logs.flat()
    expect(new Set(theirs).size).toBeLessThan(values.length)

    logs = [[], []]
    brokers[0].answerWith(refuse(5), store)
    brokers[1].answerWith(store)
    const log = await ours()
    await Promise.all([appendUntilAcked(log, 0, values.slice(0, 6)), appendUntilAcked(log, 1, values.slice(6))])
    expect(logs).toEqual([values.slice(0, 6), values.slice(6)])
  })

  test('P3: when one leader fails while another still works, the other gets its batch twice; of ours once', async () => {
    const slow: ProduceScript = async (partitions) => {
      await pause(300)
      return await store(partitions)
    }
    brokers[0].answerWith(refuse(5), store)
    brokers[1].answerWith(slow, slow)
    const producer = stockProducer(addresses)
    await producer.connect()

    await producer.send({ topic: 'orders', acks: -1, messages: toBoth })
    await pause(400) // for the copy that nobody waits for
    expect(logs[1]).toEqual(['b', 'b'])

    logs = [[], []]
    brokers[0].answerWith(refuse(5), store)
    brokers[1].answerWith(slow)
    const log = await ours()
    await Promise.all([appendUntilAcked(log, 0, ['a']), appendUntilAcked(log, 1, ['b'])])
    expect(logs).toEqual([['a'], ['b']])
  })
})

const real = inject('brokers')

describe.skipIf(real.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  let log: LogDriver
  let proxy: KafkaProxy
  let topic: string

  beforeEach(async () => {
    log = kafkajsLog({ brokers: real, clientId: 'judge' })
    topic = await makeTopic(log)
    proxy = await new KafkaProxy(real[0] ?? '').start()
    return async () => {
      await log.admin.close()
      await proxy[Symbol.asyncDispose]()
    }
  })

  /** What the log holds, in order. */
  async function stored(): Promise<string[]> {
    const { latest } = await log.admin.rangeOf({ topic, partition: 0 })
    const listener = new RecordingListener()
    const consumer = log.consumers.consumer(uniqueName('judge'), [topic])
    await consumer.start(listener, soon())
    await listener.until(() => BigInt(listener.records.length) >= latest)
    await consumer.stop(2_000)
    return listener.values()
  }

  const send = (producer: Producer, value: string) => producer.send({ topic, acks: -1, messages: [{ partition: 0, value }] })

  test('P4: idempotent, two sends at once, one reply lost: both resolve, one record stands twice and the other is lost', async () => {
    const producer = stockProducer([proxy.broker], { idempotent: true })
    await producer.connect()
    proxy.loseProduceReplies(1)

    const [first, second] = await Promise.allSettled([send(producer, 'A'), send(producer, 'B')])

    expect([first.status, second.status, proxy.lostReplies]).toEqual(['fulfilled', 'fulfilled', 1])
    const kept = await stored()
    expect([kept.length, new Set(kept).size]).toEqual([2, 1])
  })

  test('P5: idempotent, a send that failed although it was stored: the next one resolves and is not stored', async () => {
    const producer = stockProducer([proxy.broker], { idempotent: true, retries: 1 })
    await producer.connect()
    proxy.loseProduceReplies(2) // of the send, and of its one repetition

    const outcomes = [await send(producer, 'A').catch(() => 'rejected'), await send(producer, 'B'), await send(producer, 'C')]

    expect(outcomes.map((outcome) => (outcome === 'rejected' ? outcome : 'resolved'))).toEqual(['rejected', 'resolved', 'resolved'])
    expect(await stored()).toEqual(['A', 'C'])
  })

  test('ours, under the same lost reply, says that it does not know, sends the same again, and loses nothing', async () => {
    const through = kafkajsLog({ brokers: [proxy.broker], clientId: 'ours' })
    onTestFinished(() => through.producer.stop(1_000))
    await through.producer.start(soon())
    proxy.loseProduceReplies(1)

    const first = await through.producer.append({ topic, partition: 0 }, [record('A')])
    for (const value of ['A', 'B', 'C']) await appended(through.producer, topic, 0, [record(value)])

    expect(first).toMatchObject({ status: 'unknown' })
    expect(await stored()).toEqual(['A', 'A', 'B', 'C'])
  })
})

import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import { loadKafkajs } from '../../../src/adapters/kafkajs/internals.ts'
import { kafkajsLog } from '../../../src/adapters/kafkajs/kafkajs-log.ts'
import { fairAssigner } from '../../../src/adapters/kafkajs/overrides/starving-assigner.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'
import { appended, makeTopic, numbered, soon, uniqueName } from '../../conformance/log-subject.ts'
import { until } from '../../kit/wait.ts'

const brokers = inject('brokers')
const { Kafka: Client }: { Kafka: typeof Kafka } = createRequire(import.meta.url)('kafkajs')
const { assignerProtocol, roundRobin } = loadKafkajs()

const sizes = new Map([
  ['a', 2],
  ['b', 2],
])

function assigner(topics: readonly string[]) {
  const make = fairAssigner(assignerProtocol, { topics, owned: () => [], partitionsOf: async (topic) => sizes.get(topic) })
  return make({ cluster: clusterOf(sizes), groupId: 'stock', logger: silent })
}

const silent = {
  info: () => undefined,
  error: () => undefined,
  warn: () => undefined,
  debug: () => undefined,
  namespace: () => silent,
  setLogLevel: () => undefined,
}

/** What kafkajs's assigner asks of a cluster. */
function clusterOf(topics: ReadonlyMap<string, number>) {
  const findTopicPartitionMetadata = (topic: string) =>
    Array.from({ length: topics.get(topic) ?? 0 }, (_, partitionId) => ({
      partitionId,
      leader: 0,
      isr: [],
      replicas: [],
      partitionErrorCode: 0,
    }))
  return Object.assign(Object.create(null), { findTopicPartitionMetadata })
}

function shared(assignments: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[]): Record<string, object> {
  return Object.fromEntries(
    assignments.map(({ memberId, memberAssignment }) => [
      memberId,
      assignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {},
    ]),
  )
}

test('reads the topics of every member, where kafkajs forgets those that only others than the leader subscribe to', async () => {
  const members = [
    { memberId: 'leader', memberMetadata: assigner(['a']).protocol({ topics: [] }).metadata },
    { memberId: 'other', memberMetadata: assigner(['b']).protocol({ topics: [] }).metadata },
  ]

  const theirs = await roundRobin({ cluster: clusterOf(sizes), groupId: 'stock', logger: silent }).assign({ members, topics: ['a'] })
  const ours = await assigner(['a']).assign({ members, topics: ['a'] })

  expect(shared(theirs)).toEqual({ leader: { a: [0] }, other: { a: [1] } })
  expect(shared(ours)).toEqual({ leader: { a: [0, 1] }, other: { b: [0, 1] } })
})

test('a member that tells bytes that nobody can read gets nothing, and the others get everything', async () => {
  const garbage = [Buffer.alloc(0), Buffer.from('garbage'), Buffer.alloc(40, 0xff)].map((memberMetadata, index) => ({
    memberId: `garbage-${index}`,
    memberMetadata,
  }))
  const members = [{ memberId: 'good', memberMetadata: assigner(['a']).protocol({ topics: [] }).metadata }, ...garbage]

  const ours = await assigner(['a']).assign({ members, topics: ['a'] })

  expect(shared(ours)).toMatchObject({ good: { a: [0, 1] }, 'garbage-0': {}, 'garbage-1': {}, 'garbage-2': {} })
})

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  let log: LogDriver

  beforeEach(async () => {
    log = kafkajsLog({ brokers, clientId: 'assigning' })
    await log.producer.start(soon())
    return async () => {
      await log.producer.stop(1_000)
      await log.admin.close()
    }
  })

  async function member(group: string, topics: readonly string[]) {
    const listener = new RecordingListener()
    const consumer = log.consumers.consumer(group, topics)
    onTestFinished(() => consumer.stop(2_000))
    await consumer.start(listener, soon())
    return { listener, consumer }
  }

  test('members of one group that read different topics starve nobody', async () => {
    const [one, two, group] = [await makeTopic(log, 2), await makeTopic(log, 2), uniqueName('group')]
    const first = await member(group, [one])
    const second = await member(group, [two])
    await second.listener.until(() => second.listener.assigned.length >= 2)

    for (const topic of [one, two]) await Promise.all([0, 1].map((partition) => appended(log.producer, topic, partition, numbered(1))))
    await first.listener.until(() => first.listener.records.length >= 2)
    await second.listener.until(() => second.listener.records.length >= 2)

    expect(new Set(first.listener.records.map(({ topic }) => topic))).toEqual(new Set([one]))
    expect(new Set(second.listener.records.map(({ topic }) => topic))).toEqual(new Set([two]))
  })

  test('a member that comes takes its share and leaves the others what they read', async () => {
    const [topic, group] = [await makeTopic(log, 6), uniqueName('group')]
    const first = await member(group, [topic])
    await first.listener.until(() => first.listener.assigned.length === 6)
    const second = await member(group, [topic])
    await second.listener.until(() => second.listener.assigned.length === 3)
    await first.listener.until(() => first.listener.assigned.length === 9)
    const kept = first.listener.assigned.slice(6).map(({ partition }) => partition.partition)

    const third = await member(group, [topic])
    await third.listener.until(() => third.listener.assigned.length === 2)
    await first.listener.until(() => first.listener.assigned.length === 11)

    const left = first.listener.assigned.slice(9).map(({ partition }) => partition.partition)
    expect(kept).toEqual(expect.arrayContaining(left))
  })

  test('shares a group with members that run plain kafkajs', async () => {
    const [topic, group] = [await makeTopic(log, 4), uniqueName('group')]
    const plain = new Client({ brokers: [...brokers], clientId: 'plain', logLevel: 0 }).consumer({
      groupId: group,
      maxWaitTimeInMs: 100,
      heartbeatInterval: 200,
    })
    onTestFinished(() => plain.disconnect())
    let theirs = 0
    plain.on(plain.events.GROUP_JOIN, ({ payload }) => {
      theirs = Object.values(payload.memberAssignment).flat().length
    })
    await plain.connect()
    await plain.subscribe({ topics: [topic] })
    await plain.run({ eachMessage: async () => undefined })
    await until('the plain member to own the topic', () => theirs === 4)

    const { listener } = await member(group, [topic])
    await listener.until(() => listener.assigned.length === 2)

    await until('the plain member to own a half', () => theirs === 2)
    expect(listener.assigned).toHaveLength(2)
  })
})

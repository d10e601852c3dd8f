import { expect, test } from 'vitest'
import type { TopicState } from '../../../src/core/broker/log-admin.ts'
import { planTopic, type TopicMemory } from '../../../src/core/broker/topic-differences.ts'
import { specOf, topicOptions } from '../../../src/core/broker/topic-options.ts'
import type { TopicSpec } from '../../../src/core/broker/topic-plan.ts'

const spec: TopicSpec = {
  name: 'orders',
  partitions: 4,
  replicationFactor: 3,
  settings: { 'retention.ms': '604800000', 'cleanup.policy': 'delete' },
}
const state: TopicState = { id: 'a', partitions: 4, replicationFactor: 3, settings: { 'retention.ms': '604800000' } }
const nothingKnown: TopicMemory = { hashedWith: undefined, recreated: undefined }

function kinds(changed: Partial<TopicState>, memory: Partial<TopicMemory> = {}, wanted: Partial<TopicSpec> = {}): string[] {
  return planTopic({ ...spec, ...wanted }, { ...state, ...changed }, { ...nothingKnown, ...memory }).differences.map((one) =>
    one.kind === 'report' ? `report: ${one.what}` : one.kind,
  )
}

test('a topic as it should be has no differences, whatever else is set on it', () => {
  expect(kinds({ settings: { ...state.settings, 'segment.bytes': '1048576' } })).toEqual([])
})

test('a missing topic is created as it is described', () => {
  expect(planTopic(spec, undefined, nothingKnown).differences).toEqual([{ kind: 'create', spec }])
})

test('a setting that differs, or is not there, is changed', () => {
  const { differences } = planTopic(spec, { ...state, settings: {} }, nothingKnown)

  expect(differences).toEqual([{ kind: 'change', setting: 'retention.ms', from: null, to: '604800000' }])
  expect(kinds({ settings: { 'retention.ms': '1' } })).toEqual(['change'])
})

test('another policy and another replication factor are reported and never changed', () => {
  expect(kinds({ settings: { ...state.settings, 'cleanup.policy': 'compact' }, replicationFactor: 1 })).toEqual([
    'report: Its replication factor is 1 and should be 3.',
    'report: Its cleanup.policy is "compact" and should be "delete".',
  ])
})

test('the order in which a policy is written makes no difference', () => {
  const both = { settings: { 'cleanup.policy': 'compact,delete' } }

  expect(kinds({ settings: { 'cleanup.policy': 'delete,compact' } }, {}, both)).toEqual([])
})

test('more partitions are raised only when asked for, fewer are reported', () => {
  expect(kinds({ partitions: 2 })).toEqual(['raise'])
  expect(kinds({ partitions: 8 })).toEqual(['report: It has 8 partitions and should have 4.'])
})

test('a topic that Kafka has raised and whose keys are hashed with the old count is not done yet', () => {
  expect(planTopic(spec, state, { ...nothingKnown, hashedWith: 2 }).differences).toEqual([{ kind: 'raise', from: 2, to: 4 }])
})

test('a topic that was made again is reported', () => {
  expect(kinds({}, { recreated: 'its id is b' })).toEqual(['report: It was made again: its id is b.'])
})

test('options of a single topic are stronger than those of all, one by one', () => {
  const options = topicOptions.parse({
    partitions: 6,
    retention: '7d',
    overrides: { orders: { retention: 'forever', minInSyncReplicas: 2 } },
  })

  expect(specOf('orders', options)).toEqual({
    name: 'orders',
    partitions: 6,
    replicationFactor: 1,
    settings: { 'retention.ms': '-1', 'min.insync.replicas': '2' },
  })
  expect(specOf('stock', options)).toEqual({
    name: 'stock',
    partitions: 6,
    replicationFactor: 1,
    settings: { 'retention.ms': '604800000' },
  })
})

test.each([{ partitions: 0 }, { retention: 'a week' }, { cleanupPolicy: 'keep' }, { overrides: { orders: { partition: 4 } } }])(
  'refuses %j',
  (options) => {
    expect(topicOptions.safeParse(options).success).toBe(false)
  },
)

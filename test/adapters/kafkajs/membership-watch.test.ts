import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { KafkajsClient } from '../../../src/adapters/kafkajs/client.ts'
import { Membership } from '../../../src/adapters/kafkajs/membership.ts'
import { MembershipWatch } from '../../../src/adapters/kafkajs/membership-watch.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { RecordingListener } from '../../conformance/log-listener.ts'

let dead: string[]
let watch: MembershipWatch

beforeEach(() => {
  vi.useFakeTimers()
  dead = []
  watch = new MembershipWatch(systemClock, (error) => dead.push(error.message))
  watch.start()
})

afterEach(() => {
  watch.stop()
  vi.useRealTimers()
})

test('a member is whoever the coordinator has answered within the session timeout', () => {
  const unheard = watch.isMember
  watch.heard()
  const heard = watch.isMember

  vi.advanceTimersByTime(10_001)

  expect([unheard, heard, watch.isMember]).toEqual([false, true, false])
})

test('a rebalance, in which no heartbeat is due, ends no membership', () => {
  watch.heard()
  watch.rebalancing()

  vi.advanceTimersByTime(29_000)

  expect(watch.isMember).toBe(true)
  expect(dead).toEqual([])
})

test('ends a membership that has lost its group, when no crash is reported soon', () => {
  watch.heard()
  watch.groupLost(new Error('Consumer group was not initialized'))
  expect(watch.isMember).toBe(false)

  vi.advanceTimersByTime(4_000)
  expect(dead).toEqual([])
  vi.advanceTimersByTime(4_000)

  expect(dead).toEqual([expect.stringContaining('Consumer group was not initialized')])
})

test('ends a membership that fetches no more, once', () => {
  for (let second = 0; second < 200; second++) {
    watch.active()
    vi.advanceTimersByTime(1_000)
  }
  expect(dead).toEqual([])

  vi.advanceTimersByTime(200_000)

  expect(dead).toEqual([expect.stringContaining('has not fetched for 90 s')])
})

test('ends nothing after it was stopped', () => {
  watch.stop()

  vi.advanceTimersByTime(200_000)

  expect([dead, watch.isMember]).toEqual([[], false])
})

test('a membership whose group kafkajs has dropped is asked for nothing that throws', () => {
  const membership = new Membership({
    client: new KafkajsClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }),
    group: 'stock',
    topics: ['orders'],
    listener: new RecordingListener(),
    rangeOf: async () => ({ earliest: 0n, latest: 0n, topicId: null }),
    partitionsOf: async () => 1,
    diagnostics: undefined,
    onJoined: () => undefined,
  })
  const partition = { topic: 'orders', partition: 0 }

  expect(() => membership.seek(partition, 0n)).not.toThrow()
  expect(() => membership.resume(partition)).not.toThrow()
  expect(() => membership.pause(partition)).not.toThrow()
})

test('a disconnect that fails is no unhandled rejection inside kafkajs, and one that hangs ends', async () => {
  const [failing, hanging] = [1, 2].map(() => new KafkajsClient({ brokers: ['127.0.0.1:1'], clientId: 'test' }))
  Reflect.set(failing?.cluster.brokerPool ?? {}, 'disconnect', async () => {
    throw new Error('the socket is gone')
  })
  Reflect.set(hanging?.cluster.brokerPool ?? {}, 'disconnect', () => new Promise(() => undefined))

  const both = Promise.all([failing?.cluster.disconnect(), hanging?.cluster.disconnect()])
  await vi.advanceTimersByTimeAsync(6_000)

  await expect(both).resolves.toEqual([undefined, undefined])
})

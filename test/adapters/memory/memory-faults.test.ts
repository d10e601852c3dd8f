import { expect, test } from 'vitest'
import { MemoryLog } from '../../../src/adapters/memory/memory-log.ts'
import type { LogDriver } from '../../../src/core/broker/log-driver.ts'
import type { Clock } from '../../../src/foundation/clock.ts'
import { RecordingListener, takeAll } from '../../conformance/log-listener.ts'
import { appended, numbered, soon } from '../../conformance/log-subject.ts'

const first = { topic: 'orders', partition: 0 }
const second = { topic: 'orders', partition: 1 }

async function opened(clock?: Clock): Promise<{ log: MemoryLog; driver: LogDriver }> {
  const log = new MemoryLog(clock === undefined ? {} : { clock })
  const driver = log.driver()
  await driver.admin.createTopics([{ name: 'orders', partitions: 2, replicationFactor: 1 }])
  return { log, driver }
}

/** A clock that stands still until it is moved. */
class StandingClock implements Clock {
  #now = 1_000_000
  readonly #sleepers = new Set<{ readonly until: number; readonly wake: () => void }>()

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return
    await new Promise<void>((wake) => {
      this.#sleepers.add({ until: this.#now + ms, wake })
      signal?.addEventListener('abort', () => wake())
    })
  }

  advance(ms: number): void {
    this.#now += ms
    for (const sleeper of this.#sleepers) {
      if (sleeper.until > this.#now) continue
      this.#sleepers.delete(sleeper)
      sleeper.wake()
    }
  }
}

test('loses the reply to one append, of a batch that is stored or of one that is not', async () => {
  const { log, driver } = await opened()
  log.faults.loseReply({ topic: 'orders', stored: true })
  log.faults.loseReply({ stored: false })

  const outcomes = []
  for (let index = 0; index < 3; index++) outcomes.push((await driver.producer.append(first, numbered(1, index))).status)

  expect(outcomes).toEqual(['unknown', 'unknown', 'acked'])
  expect((await driver.admin.rangeOf(first)).latest).toBe(2n)
  expect(log.faults.fired.replyLost).toBe(2)
})

test('stores a batch twice and acknowledges it once', async () => {
  const { log, driver } = await opened()
  log.faults.appendTwice()

  expect(await driver.producer.append(first, numbered(2))).toEqual({ status: 'acked', baseOffset: 2n })
  expect((await driver.admin.rangeOf(first)).latest).toBe(4n)
})

test('delays an append by its own clock, and only that one', async () => {
  const clock = new StandingClock()
  const { log, driver } = await opened(clock)
  log.faults.delayAppend({ topic: 'orders', ms: 50 })

  const delayed = driver.producer.append(first, numbered(1))
  await appended(driver.producer, 'orders', 1, numbered(1))
  const before = (await driver.admin.rangeOf(first)).latest
  clock.advance(50)

  expect(before).toBe(0n)
  expect(await delayed).toEqual({ status: 'acked', baseOffset: 0n })
})

test('refuses appends and answers nothing while a partition has no leader, and is as before when it has one', async () => {
  const clock = new StandingClock()
  const { log, driver } = await opened(clock)
  await appended(driver.producer, 'orders', 0, numbered(1))
  log.faults.loseLeader(first, 200)

  const refused = await driver.producer.append(first, numbered(1))
  await expect(driver.admin.rangeOf(first)).rejects.toMatchObject({ code: 'LEADER_MISSING' })
  await appended(driver.producer, 'orders', 1, numbered(1))
  clock.advance(200)

  expect(refused).toMatchObject({ status: 'refused', scope: 'cluster', reason: { code: 'LEADER_MISSING' } })
  expect(await driver.producer.append(first, numbered(1, 1))).toEqual({ status: 'acked', baseOffset: 1n })
})

test('reads on where it was when a lost leader comes back', async () => {
  const { log, driver } = await opened()
  const listener = new RecordingListener()
  const consumer = driver.consumers.consumer('billing', ['orders'])
  await consumer.start(listener, soon())
  await appended(driver.producer, 'orders', 0, numbered(1))
  await listener.until(() => listener.records.length === 1)

  log.faults.loseLeader(first, 20)
  await listener.until(() => true)
  while ((await driver.producer.append(first, numbered(1, 1))).status !== 'acked') await listener.until(() => true)
  await listener.until(() => listener.records.length === 2)

  expect(listener.values()).toEqual(['0', '1'])
  await consumer.stop(1_000)
})

test('deals the partitions of a group out anew', async () => {
  const { log, driver } = await opened()
  const listener = new RecordingListener()
  const consumer = driver.consumers.consumer('billing', ['orders'])
  await consumer.start(listener, soon())
  await listener.until(() => listener.assigned.length === 2)

  log.faults.rebalance('billing')
  await listener.until(() => listener.assigned.length === 4)

  expect(listener.revoked).toEqual([first, second])
  await consumer.stop(1_000)
})

test('lets a member that is cut off go on as a zombie, and refuses what it commits', async () => {
  const { log, driver } = await opened()
  const release = Promise.withResolvers<void>()
  const zombie = new RecordingListener(undefined, async (batch) => {
    await release.promise
    return takeAll(batch)
  })
  const zombieConsumer = driver.consumers.consumer('billing', ['orders'])
  await zombieConsumer.start(zombie, soon())
  await appended(driver.producer, 'orders', 0, numbered(3))
  await zombie.until(() => zombie.records.length === 3)
  const reconnect = log.faults.cutOff('billing')
  const owner = new RecordingListener(undefined, (batch) => (batch.records.length === 3 ? 1n : new Promise(() => undefined)))
  const ownerConsumer = driver.consumers.consumer('billing', ['orders'])
  await ownerConsumer.start(owner, soon())
  await owner.until(() => owner.records.length === 5)

  release.resolve()
  await appended(driver.producer, 'orders', 0, numbered(1, 3))
  await zombie.until(() => zombie.offsets(0).includes(3n))
  const revokedBefore = zombie.revoked.length
  reconnect()
  await zombie.until(() => zombie.revoked.length > 0)

  expect(log.committed('billing', first)).toBe(1n)
  expect(revokedBefore).toBe(0)
  await Promise.all([zombieConsumer.stop(100), ownerConsumer.stop(100)])
})

test('does the same with the same seed, and something else with another', async () => {
  const run = async (seed: number): Promise<string> => {
    const { log, driver } = await opened()
    log.faults.byChance({ replyLost: 0.2, appendTwice: 0.2, leaderLost: 0.02, leaderlessMaxMs: 0, appendDelayed: 0.1, delayMaxMs: 1 }, seed)
    const outcomes = []
    for (let index = 0; index < 200; index++) outcomes.push((await driver.producer.append(first, numbered(1, index))).status)
    return `${outcomes.join(' ')} ${(await driver.admin.rangeOf(first)).latest} ${JSON.stringify(log.faults.fired)}`
  }

  const [one, again, other] = [await run(7), await run(7), await run(8)]

  expect(again).toBe(one)
  expect(other).not.toBe(one)
})

test('keeps the order of what it stores under every fault', async () => {
  const { log, driver } = await opened()
  log.faults.byChance(
    { replyLost: 0.2, appendTwice: 0.2, leaderLost: 0.1, leaderlessMaxMs: 2, appendDelayed: 0.2, delayMaxMs: 2, rebalance: 0.1 },
    42,
  )
  const listener = new RecordingListener()
  const consumer = driver.consumers.consumer('judge', ['orders'])
  await consumer.start(listener, soon())

  const sendAll = async (partition: number): Promise<void> => {
    for (let index = 0; index < 200; index++) {
      let status = ''
      while (status !== 'acked') status = (await driver.producer.append({ topic: 'orders', partition }, numbered(1, index))).status
    }
  }
  await Promise.all([sendAll(0), sendAll(1)])
  log.faults.byChance({}, 0)
  log.faults.rebalance('judge')
  const fresh = new RecordingListener()
  const judge = driver.consumers.consumer('fresh', ['orders'])
  await judge.start(fresh, soon())
  await fresh.until(() => fresh.values(0).at(-1) === '199' && fresh.values(1).at(-1) === '199')

  for (const partition of [0, 1]) {
    const values = fresh.values(partition).map(Number)
    expect(values).toEqual(values.toSorted((a, b) => a - b))
    expect(new Set(values).size).toBe(200)
  }
  expect(Object.values(log.faults.fired).every((count) => count > 0)).toBe(true)
  await Promise.all([consumer.stop(1_000), judge.stop(1_000)])
})

import { describe, expect, inject } from 'vitest'
import { createTestDatabase } from '../kit/database.ts'
import { PrivateServer } from '../kit/private-servers.ts'
import { Run } from '../kit/run.ts'
import { freshTopic, onKafka } from '../kit/scenario.ts'
import { fillDisk, smallDisk } from '../kit/small-disk.ts'
import { until } from '../kit/wait.ts'

const keys = ['a', 'b', 'c', 'd', 'e']
const longest = { withinMs: 90_000 }
const DISK_MB = 96

describe.concurrent('G2, G3, G4, G5, G6: a server dies and comes back', () => {
  onKafka('PostgreSQL, killed while messages are published and consumed', { timeout: 150_000 }, async () => {
    await using postgres = await PrivateServer.start('PostgreSQL')
    const topic = freshTopic()
    await using run = await Run.begin({ brokers: inject('brokers'), databaseUrl: await postgres.migratedDatabase('judged'), topic })
    const publisher = run.spawn({ publish: { messages: 300, keys, historyPath: run.historyPath } })
    const worker = run.spawn({ run: ['relay', 'consume'] })
    await until('the middle of the run', async () => (await run.count('effect')) > 60, 40_000)

    await postgres.kill()
    await postgres.restart()
    await publisher.says('published', 60_000)
    await run.drained(longest)
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts.ok).toBe(300)
    expect(verdict.counts.failed + verdict.counts.unknown).toBeGreaterThan(0)
    expect(verdict.counts.effects).toBe(verdict.counts.committed)
    expect(worker.running).toBe(true)
  })

  onKafka('Kafka, killed while messages are published and consumed', { timeout: 150_000 }, async () => {
    await using kafka = await PrivateServer.start('Kafka')
    const database = await createTestDatabase()
    await using run = await Run.begin({ brokers: kafka.brokers, databaseUrl: database.url, topic: freshTopic() })
    const publisher = run.spawn({ publish: { messages: 300, keys, historyPath: run.historyPath } })
    const worker = run.spawn({ run: ['relay', 'consume'] })
    await until('the middle of the run', async () => (await run.count('effect')) > 60, 40_000)

    await kafka.kill()
    // Publishing goes on without it.
    await publisher.says('published', 60_000)
    await kafka.restart()
    await run.drained(longest)
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject({ committed: 300, ok: 300, failed: 0, unknown: 0, effects: 300 })
    expect(worker.running).toBe(true)
  })

  onKafka('Kafka, whose disk is full: what is published waits, and goes on when there is room', { timeout: 150_000 }, async ({ skip }) => {
    const disk = smallDisk(DISK_MB)
    if (disk === undefined) return skip('a small file system cannot be mounted here')
    await using kafka = await PrivateServer.start('Kafka', disk)
    const database = await createTestDatabase()
    await using run = await Run.begin({ brokers: kafka.brokers, databaseUrl: database.url, topic: freshTopic() })
    const worker = run.spawn({ run: ['relay', 'consume'] })
    await run.publishAll(keys, 3)
    await run.drained()

    const free = fillDisk(disk)
    await until('the end of Kafka', async () => {
      await run.publish('a', 'x'.repeat(100_000))
      return !kafka.running
    })
    await run.publishAll(keys, 3)
    const waiting = await run.count('trunkline.outbox')
    free()
    await kafka.kill()
    await kafka.restart()
    await run.drained(longest)
    const verdict = await run.judge()

    expect(waiting).toBeGreaterThanOrEqual(15)
    expect(verdict.violations).toEqual([])
    expect(verdict.counts.effects).toBe(verdict.counts.committed)
    expect(worker.running).toBe(true)
  })
})

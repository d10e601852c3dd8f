import { describe, expect, inject, test } from 'vitest'
import { isTrunklineError } from '../../src/foundation/errors.ts'
import { createBackbone } from '../../src/index.ts'
import { judge } from '../kit/checker.ts'
import { createTestDatabase } from '../kit/database.ts'
import { readDatabase, readOperations, readTopic, toLogged } from '../kit/history.ts'
import { KafkaProxy } from '../kit/kafka-proxy.ts'
import { PostgresProxy } from '../kit/postgres-proxy.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { until, Witness } from '../kit/wait.ts'
import { publishCounted } from '../kit/workload.ts'

const keys = ['a', 'b', 'c']

describe.concurrent('G5: a lost reply is not a failure', () => {
  onKafka('every lost COMMIT reply is told truly', { timeout: 60_000 }, async () => {
    await using run = await beginRun()
    await using proxy = await new PostgresProxy(run.servers.databaseUrl).start()
    const backbone = createBackbone({
      service: 'judge',
      kafka: { driver: 'memory' },
      database: { connectionString: proxy.url },
      logger: false,
    })
    const faults = ['lose the reply', 'lose the request'] as const
    for (let round = 0; round < 30; round++) {
      proxy.cutNextCommit(faults[round % 2] ?? 'lose the reply')
      await publishCounted(backbone, run.servers.topic, { messages: 2, keys, historyPath: run.historyPath })
    }
    await backbone.stop()
    run.spawn({ run: ['relay', 'consume'] })
    await run.drained()
    const verdict = await run.judge()

    expect(proxy.fired).toBe(30)
    expect(verdict.violations).toEqual([])
    // A lost request is a failure that is known; a lost reply is resolved by asking the server.
    expect(verdict.counts).toMatchObject({ committed: 60, ok: 60, failed: 15, unknown: 0, effects: 60 })
  })

  onKafka('lost replies to Produce lose nothing and reorder nothing', { timeout: 60_000 }, async () => {
    await using proxy = await new KafkaProxy(inject('brokers')[0] ?? '').start()
    await using run = await beginRun()
    const backbone = createBackbone({
      service: run.group,
      kafka: { driver: 'kafkajs', brokers: [proxy.broker] },
      database: { connectionString: run.servers.databaseUrl },
      relay: { batchSize: 5 },
      logger: false,
    })
    const witness = new Witness(backbone.diagnostics)
    await run.publishAll(keys, 40)

    proxy.loseProduceReplies(8)
    await backbone.start({ run: ['relay'] })
    await run.relayed()
    await backbone.stop()
    run.spawn({ run: ['consume'] })
    await run.drained()
    const verdict = await run.judge()

    expect(proxy.lostReplies).toBe(8)
    expect(witness.count('relay.unknown')).toBeGreaterThan(0)
    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject({ committed: 120, logged: 120, effects: 120 })
    expect(verdict.counts.sentAgain).toBeGreaterThan(0)
  })

  test('a transaction that cannot be resolved is told as unknown, and can be asked for later', {
    timeout: 60_000,
  }, async () => {
    const database = await createTestDatabase()
    await using proxy = await new PostgresProxy(database.url).start()
    const backbone = createBackbone({
      service: 'judge',
      kafka: { driver: 'memory' },
      database: { connectionString: proxy.url },
      logger: false,
    })
    await backbone.transaction((tx) => tx.query('create table effect (n int)'))

    proxy.cutNextCommit('lose the reply', () => proxy.refuse())
    const error = await backbone.transaction((tx) => tx.query('insert into effect values (1)')).catch((thrown: unknown) => thrown)
    const whileAway = isTrunklineError(error, 'COMMIT_OUTCOME_UNKNOWN')
    proxy.pass()
    const later = await until('an answer', async () => {
      const outcome = await backbone.outcomeOf(error)
      return outcome !== 'unknown' && outcome
    })
    await backbone.stop()

    expect(whileAway).toBe(true)
    expect(later).toBe('committed')
  })
})

describe('G1, G8: Kafka cannot be reached', () => {
  onKafka('publishing needs no Kafka, and nothing is lost while it cannot be reached', { timeout: 60_000 }, async () => {
    await using proxy = await new KafkaProxy(inject('brokers')[0] ?? '').start()
    await using run = await beginRun()
    const backbone = createBackbone({
      service: run.group,
      kafka: { driver: 'kafkajs', brokers: [proxy.broker] },
      database: { connectionString: run.servers.databaseUrl },
      logger: false,
    })
    const witness = new Witness(backbone.diagnostics)
    await backbone.start({ run: ['relay'] })
    await run.publishAll(keys, 2)
    await run.relayed()

    proxy.refuse()
    await run.publishAll(keys, 10)
    await witness.saw('relay.refused', ({ scope }) => scope === 'cluster')
    const waiting = await run.count('trunkline.outbox')
    proxy.pass()
    await run.relayed()
    await backbone.stop()
    const { committed } = await readDatabase(run.servers.databaseUrl)
    const log = toLogged(await readTopic(run.servers.brokers, run.servers.topic))

    expect(waiting).toBeGreaterThan(0)
    expect(judge({ committed, log, operations: [], effects: [], kept: committed }).violations).toEqual([])
    expect(readOperations(run.historyPath)).toEqual([])
  })
})

import { describe, expect } from 'vitest'
import { createBackbone } from '../../src/index.ts'
import { KafkaProxy } from '../kit/kafka-proxy.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { until, Witness } from '../kit/wait.ts'
import { applyCounted, publishNext } from '../kit/workload.ts'

const keys = ['a', 'b', 'c']

describe('G2, G6: a relay that starts while Kafka is away', () => {
  onKafka('is ready, says that it hears nobody, and sends what waited when Kafka comes', { timeout: 60_000 }, async () => {
    await using run = await beginRun()
    run.spawn({ run: ['consume'] })
    await using proxy = await new KafkaProxy(run.servers.brokers[0] ?? '').start()
    proxy.refuse()
    const backbone = createBackbone({
      service: 'relay',
      kafka: { driver: 'kafkajs', brokers: [proxy.broker] },
      database: { connectionString: run.servers.databaseUrl },
      startTimeout: '1s',
      logger: false,
    })
    const witness = new Witness(backbone.diagnostics)

    await run.publishAll(keys, 3)
    await backbone.start({ run: ['relay'] })
    const ready = await until('the relay in office', async () => {
      const { parts } = await backbone.health()
      return parts['relay']?.state === 'in office' && parts['relay']
    })
    await witness.saw('kafka.unheard')
    await run.publishAll(keys, 3)
    const waiting = await run.count('trunkline.outbox')
    proxy.pass()
    await run.drained()
    await backbone.stop()
    const { violations, counts } = await run.judge()

    expect(ready).toEqual({ ready: true, state: 'in office' })
    expect(waiting).toBe(18)
    expect(violations).toEqual([])
    expect(counts.effects).toBe(18)
  })
})

describe('G2, G6: a whole service that starts while Kafka is away', () => {
  for (const driver of ['kafkajs', 'platformatic'] as const) {
    onKafka(`publishes, and begins to consume when Kafka comes (${driver})`, { timeout: 60_000 }, async () => {
      await using run = await beginRun()
      await using proxy = await new KafkaProxy(run.servers.brokers[0] ?? '').start()
      proxy.refuse()
      const backbone = createBackbone({
        service: run.group,
        kafka: { driver, brokers: [proxy.broker] },
        database: { connectionString: run.servers.databaseUrl },
        startTimeout: '1s',
        logger: false,
      })
      applyCounted(backbone, run.servers)
      const witness = new Witness(backbone.diagnostics)

      await backbone.start()
      for (const key of keys) await publishNext(backbone, run.servers.topic, key)
      const waiting = await run.count('trunkline.outbox')
      const away = await until('the relay in office', async () => {
        const health = await backbone.health()
        return health.parts['relay']?.state === 'in office' && health
      })
      proxy.pass()
      await run.drained()
      const consumer = `consumer ${run.group}`
      const back = await until('a member of the group', async () => {
        const part = (await backbone.health()).parts[consumer]
        return part?.state === 'member of its group' && part
      })
      await backbone.stop()
      const { violations, counts } = await run.judge()

      expect(witness.count('kafka.unheard')).toBe(1)
      expect(away).toMatchObject({ live: true, ready: true, parts: { [consumer]: { ready: true, state: 'waiting for Kafka' } } })
      expect(back.ready).toBe(true)
      expect(waiting).toBe(3)
      expect(violations).toEqual([])
      expect(counts.effects).toBe(3)
    })
  }
})

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect } from 'vitest'
import { SESSION_TIMEOUT_MS } from '../../src/adapters/kafkajs/membership-watch.ts'
import { createBackbone } from '../../src/index.ts'
import { countedOn } from '../kit/contracts.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { Witness } from '../kit/wait.ts'

describe.concurrent('G3, G6: a handler that takes longer than the session timeout', () => {
  onKafka('keeps its process a member of the group: nothing is revoked, and it runs once', { timeout: 120_000 }, async () => {
    await using run = await beginRun({ partitions: 1 })
    await run.publish('a')
    const backbone = createBackbone({
      service: run.group,
      kafka: { driver: 'kafkajs', brokers: [...run.servers.brokers] },
      database: { connectionString: run.servers.databaseUrl },
      logger: false,
    })
    const witness = new Witness(backbone.diagnostics)
    backbone.subscribe(
      countedOn(run.servers.topic),
      async ({ data }, { tx }) => {
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
        // The time that it takes is the fault.
        await pause(SESSION_TIMEOUT_MS + 2_000)
      },
      { timeout: '30s' },
    )
    await backbone.start()

    await run.drained({ withinMs: 60_000 })
    await backbone.stop()

    expect(witness.count('delivery.started')).toBe(1)
    expect(witness.all('consumer.assigned')).toHaveLength(1)
    expect((await run.judge()).counts.effects).toBe(1)
  })
})

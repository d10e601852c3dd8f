import { Kafka, logLevel } from 'kafkajs'
import { describe, expect } from 'vitest'
import { createBackbone } from '../../src/index.ts'
import { countedOn } from '../kit/contracts.ts'
import type { Run } from '../kit/run.ts'
import { beginRun, onKafka } from '../kit/scenario.ts'
import { until, Witness } from '../kit/wait.ts'

const keys = ['a', 'b', 'c', 'd']

describe('G6: a handler that publishes meets a full outbox', () => {
  onKafka(
    'it pauses as a member of its group, spends no attempt, parks nothing, and goes on when there is room',
    { timeout: 90_000 },
    async () => {
      await using run = await beginRun({ partitions: 2 })
      await run.publishAll(keys, 5)
      const relay = run.spawn({ run: ['relay'] })
      await run.relayed()
      relay.kill('SIGTERM')
      await relay.ended()
      // No relay runs: as if Kafka took nothing.
      await run.query(fillSql, ['elsewhere', 1_000])
      const { backbone, witness } = answering(run)
      await backbone.start({ run: ['consume'] })
      await witness.saw('consumer.assigned', () => true, 2)
      const memberBefore = await memberOf(run)

      await witness.saw('consumer.interrupted', ({ reason }) => reason.includes('outbox.rowsMax'), 10, 40_000)
      const whileFull = {
        effects: await run.count('effect'),
        parked: await run.count('trunkline.parked_message'),
        answers: await run.count("trunkline.outbox where topic = 'answers'"),
        member: await memberOf(run),
        revoked: witness.count('consumer.revoked'),
      }
      await run.query("delete from trunkline.outbox where topic = 'elsewhere'")
      await until('every effect', async () => (await run.count('effect')) === 20, 40_000)
      await backbone.stop()

      expect(whileFull).toEqual({ effects: 0, parked: 0, answers: 0, member: memberBefore, revoked: 0 })
      expect(witness.count('delivery.failed')).toBe(0)
      expect(witness.all('delivery.started').filter(({ attempt }) => attempt !== 1)).toEqual([])
      expect(await run.count('trunkline.parked_message')).toBe(0)
      expect(await run.count("trunkline.outbox where topic = 'answers'")).toBe(20)
      const inOrder = await run.query('select key, array_agg(version::int order by at) as versions from effect group by key order by key')
      expect(inOrder).toEqual(keys.map((key) => ({ key, versions: [1, 2, 3, 4, 5] })))
    },
  )
})

/** A service that answers each message by another, in a group of the run's own. */
function answering(run: Run) {
  const { brokers, databaseUrl, topic } = run.servers
  const backbone = createBackbone({
    service: run.group,
    kafka: { driver: 'kafkajs', brokers: [...brokers] },
    database: { connectionString: databaseUrl },
    outbox: { rowsMax: 1_000 },
    logger: false,
  })
  const Answer = countedOn('answers', 'test.Other')
  backbone.subscribe(
    countedOn(topic),
    async ({ data }, { tx, publish }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      publish(Answer({ key: data.key, version: data.version }))
    },
    // One failed attempt would be the end of a message.
    { retry: { inline: 0, delays: [] } },
  )
  return { backbone, witness: new Witness(backbone.diagnostics) }
}

async function memberOf({ servers, group }: Run): Promise<string | undefined> {
  const admin = new Kafka({ brokers: [...servers.brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    const { groups } = await admin.describeGroups([group])
    return `${groups[0]?.state} ${groups[0]?.members.map(({ memberId }) => memberId).join()}`
  } finally {
    await admin.disconnect()
  }
}

const fillSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, key, value, headers)
  select 0, number, $1, gen_random_uuid(), number::text::bytea, '', '' from generate_series(1, $2::int) as number`

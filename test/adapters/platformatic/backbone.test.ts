import { Client } from 'pg'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { createBackbone } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { createKafkaTopic } from '../../kit/kafka-topics.ts'
import { until } from '../../kit/wait.ts'

const brokers = inject('brokers')

describe.skipIf(brokers.length === 0)('on a real Kafka (skipped without Java 17 and Maven, or TRUNKLINE_TEST_KAFKA_BROKERS)', () => {
  test.each(['kafkajs', 'platformatic'] as const)('a message that is published by one driver has its effect by %s', async (reading) => {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    const client = new Client({ connectionString: database.url })
    await client.connect()
    onTestFinished(() => client.end())
    await client.query('create table effect (key text)')
    const prefix = `${inject('runPrefix')}${reading}.`
    await createKafkaTopic(brokers, `${prefix}orders`, 2)
    const backbone = (driver: 'kafkajs' | 'platformatic') => {
      const made = createBackbone({
        service: 'shop',
        kafka: { driver, brokers, prefix },
        database: { connectionString: database.url },
        logger: false,
      })
      onTestFinished(() => made.stop())
      return made
    }
    const Counted = countedOn('orders')
    const [writer, reader] = [backbone(reading === 'kafkajs' ? 'platformatic' : 'kafkajs'), backbone(reading)]
    reader.subscribe(Counted, async ({ data }, { tx }) => {
      await tx.query('insert into effect (key) values ($1)', [data.key])
    })

    await Promise.all([writer.start({ run: ['relay'] }), reader.start({ run: ['consume'] })])
    await writer.transaction((tx) =>
      writer.publish(
        tx,
        ['a', 'b', 'c'].map((key) => Counted({ key, version: 1 })),
      ),
    )
    const effects = async () => (await client.query('select key from effect order by key')).rows
    await until('the effects', async () => (await effects()).length === 3)

    expect(await effects()).toEqual([{ key: 'a' }, { key: 'b' }, { key: 'c' }])
  })
})

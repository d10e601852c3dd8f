import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createBackbone } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { Witness } from '../../kit/wait.ts'

test('the relay tells how long the slowest message of a batch has waited for Kafka', async () => {
  const { url } = await createTestDatabase()
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  const backbone = createBackbone({ service: 'shop', kafka: { driver: 'memory' }, database: { connectionString: url }, logger: false })
  onTestFinished(() => backbone.stop())
  const witness = new Witness(backbone.diagnostics)
  const Counted = countedOn('orders')
  backbone.subscribe(Counted, async () => undefined)
  await backbone.transaction((tx) => backbone.publish(tx, [Counted({ key: 'a', version: 1 }), Counted({ key: 'b', version: 1 })]))
  await client.query("update trunkline.outbox set created_at = now() - interval '1 hour' where convert_from(key, 'utf8') = 'a'")

  await backbone.start({ run: ['relay', 'consume'] })

  await witness.saw('relay.removed', ({ slowestMs }) => slowestMs >= 3_600_000)
  expect(witness.all('relay.removed').every(({ messages }) => messages > 0)).toBe(true)
})

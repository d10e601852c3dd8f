import { expect, test } from 'vitest'
import { countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

test('a topic that is missing is one incident, its neighbours are read, and it is read when it is there', async () => {
  const bench = await ConsumeBench.open()
  const assembly = bench.assembly()
  applyCounted(assembly, { topic: 't' })
  assembly.subscribe(countedOn('late', 'test.Other'), async () => undefined)
  const incidents = "select subject from trunkline.incident where kind = 'topic_missing'"

  await assembly.start({ run: ['consume'] })
  await bench.publish('a')
  await bench.settled()

  expect(await bench.effects()).toEqual(['a1'])
  expect(await until('an incident', async () => (await bench.query(incidents))[0])).toEqual({ subject: 'judge late' })
  await bench.log.driver().admin.createTopics([{ name: 'late', partitions: 1, replicationFactor: 1 }])
  const positions = "select from trunkline.consumer_position where topic = 'late'"
  await until('the late topic to be assigned', async () => (await bench.query(positions)).length === 1)
  expect(await bench.query(incidents)).toHaveLength(1)
})

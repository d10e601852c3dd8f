import { expect, test } from 'vitest'
import { countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

test('each message has a transaction of its own, keys run side by side, and each key in order', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b', 'a', 'c', 'a'])
  const { backbone } = bench.backbone()
  const met = Promise.withResolvers<void>()
  let standing = 0
  backbone.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      if (data.version === 1 && ++standing === 3) met.resolve()
      if (data.version === 1) await met.promise
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    },
    { transaction: 'message' },
  )
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'c1'])
  expect(await bench.violations()).toEqual([])
  expect(await bench.query('select count(distinct xmin::text)::int as transactions from effect')).toEqual([{ transactions: 5 }])
})

test('the position follows up to the first message that is not settled, and no further', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b', 'c', 'd'])
  const { backbone } = bench.backbone()
  const gate = Promise.withResolvers<void>()
  backbone.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      if (data.key === 'b') await gate.promise
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    },
    { transaction: 'message' },
  )
  await backbone.start({ run: ['consume'] })
  await until('three effects', async () => (await bench.effects()).length === 3)
  const position = async () => Number((await bench.query('select next_offset from trunkline.consumer_position'))[0]?.['next_offset'])
  await until('the position behind the first', async () => (await position()) === 1)

  expect(await position()).toBe(1)

  gate.resolve()
  await bench.settled()
  expect(await position()).toBe(4)
})

test('a member that lost its partition applies nothing more of it', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'a'])
  const { backbone, witness } = bench.backbone()
  const gate = Promise.withResolvers<void>()
  let runs = 0
  backbone.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      if (++runs === 1) await gate.promise
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    },
    { transaction: 'message' },
  )
  await backbone.start({ run: ['consume'] })
  await until('the first run', () => runs === 1)
  await bench.query('update trunkline.consumer_position set epoch = epoch + 1')
  gate.resolve()
  await witness.saw('consumer.fenced')

  await bench.settled()

  expect(await bench.effects()).toEqual(['a1', 'a2'])
  expect(await bench.violations()).toEqual([])
})

test('a message that fails is kept, and its neighbours go on', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', ['b', 'poison'], 'c', 'b'])
  const { backbone } = bench.backbone()
  backbone.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      if (data.note === 'poison') throw new Error('no')
    },
    { transaction: 'message', retry: { inline: 1, delays: [] } },
  )
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect((await bench.effects()).toSorted()).toEqual(['a1', 'c1'])
  expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 2 }, { state: 'waiting' }])
})

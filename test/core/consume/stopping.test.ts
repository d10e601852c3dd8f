import { expect, test } from 'vitest'
import { PermanentError } from '../../../src/foundation/errors.ts'
import { countedOn } from '../../kit/contracts.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

test('a batch that is told to stop is finished if that is soon: nothing of it is handled again', async () => {
  const bench = await ConsumeBench.open()
  for (let version = 1; version <= 3; version++) await bench.publish('a')
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, async ({ data }, { tx, signal }) => {
    if (data.version === 1) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
  })
  await backbone.start({ run: ['consume'] })
  await witness.saw('delivery.started')

  await backbone.stop()

  expect(await bench.effects()).toEqual(['a1', 'a2', 'a3'])
  expect(witness.count('delivery.started')).toBe(3)
})

test('a batch that would take longer is rolled back, and none of its effects is there', async () => {
  const bench = await ConsumeBench.open()
  for (let version = 1; version <= 20; version++) await bench.publish('a')
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, async ({ data }, { tx, signal }) => {
    if (data.version === 1) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    if (signal.aborted) await tx.query('select pg_sleep(0.4)')
  })
  await backbone.start({ run: ['consume'] })
  await witness.saw('delivery.started')

  await backbone.stop()

  expect(await bench.effects()).toEqual([])
  expect(await bench.query('select sum(next_offset)::int as at from trunkline.consumer_position')).toEqual([{ at: 0 }])
})

test('a batch in segments has the same time to stop as any other, all of them together', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll([['poison', ''], ...Array.from({ length: 30 }, () => 'a')])
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, async ({ data }, { tx, signal }) => {
    if (data.key === 'poison') throw new PermanentError('NO', 'never')
    if (data.version === 24) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    // The last of one segment, and the second of the next.
    if (data.version === 25 || data.version === 27) await tx.query('select pg_sleep(0.6)')
  })
  await backbone.start({ run: ['consume'] })
  await witness.saw('delivery.started', () => true, 1 + 24)

  await backbone.stop()

  expect(await bench.effects()).toEqual([])
  expect(await bench.query('select sum(next_offset)::int as at from trunkline.consumer_position')).toEqual([{ at: 1 }])
})

import { expect, test } from 'vitest'
import { PostgresParkingStore } from '../../../src/adapters/postgres/parking-store.ts'
import type { Replacements } from '../../kit/assembly.ts'
import { cachedTypes } from '../../kit/broken/cached-types.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted, publishNext } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const Other = countedOn('t', 'test.Other')

/**
 * An old build passes over a type that nobody handles. Then a new one says that it does, and dies before it has a
 * partition; the old one goes on reading, and only later the new build comes back.
 */
async function registeredMeanwhile(replacements: Replacements = {}) {
  const bench = await ConsumeBench.open()
  const { backbone: publisher } = bench.backbone()
  await publisher.start({ run: ['relay'] })
  const old = bench.assembly(replacements)
  const witness = new Witness(old.diagnostics)
  applyCounted(old, { topic: 't' })
  await old.start({ run: ['consume'] })
  await publisher.transaction((tx) => publisher.publish(tx, Other({ key: 'nobody handles it', version: 1 })))
  await witness.saw('delivery.skipped')

  await new PostgresParkingStore(old.database.database).registerHandled('judge', ['test.Other'])
  for (const name of ['test.Other', 'test.Counted'] as const) await publishNext(publisher, 't', 'a', { name })
  await publishNext(publisher, 't', 'b')
  await bench.relayed()
  await bench.settled()
  const parked = await bench.parked()

  const next = bench.backbone()
  applyCounted(next.backbone, { topic: 't' })
  next.backbone.subscribe(Other, async ({ data: { key, version } }, { tx }) => {
    await tx.query('insert into effect (key, version) values ($1, $2)', [key, version])
  })
  await next.backbone.start({ run: ['consume'] })
  await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
  return { bench, parked, lost: (await bench.violations()).filter((violation) => violation.startsWith('lost')) }
}

test('a type that another build makes known while a consumer runs is kept for it from then on, and its key waits', async () => {
  const { bench, parked, lost } = await registeredMeanwhile()

  expect(parked).toEqual([
    { state: 'waiting', attempts: 0, reason_code: 'HANDLER_ELSEWHERE', keyed: true },
    { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED', keyed: true },
  ])
  expect((await bench.effects()).filter((effect) => effect.startsWith('a'))).toEqual(['a1', 'a2'])
  expect(lost).toEqual([])
})

test('a consumer that believes what it was told about a type once loses it, and the judge sees it', async () => {
  const { lost } = await registeredMeanwhile({ parking: cachedTypes })

  expect(lost).toEqual(['lost: committed and neither applied nor kept: a#1'])
})

import { expect, test } from 'vitest'
import { countedOn } from '../../kit/contracts.ts'
import { ConsumeBench } from './consume-bench.ts'

// Batches of 32, 32 and 64: the first, which fails, says nothing of how long one takes.
test.for([
  ['a handler threw, which all that throw do in the same try', 'throws', 64],
  ['a statement failed, which says nothing of the others', 'divides', 50],
] as const)('handlers that run side by side do so in as many as fit when %s', async ([, how, together]) => {
  const bench = await ConsumeBench.open()
  const bad = new Map([
    ['k3', 'throws'],
    ['k40', how],
    ['k70', 'throws'],
    ['k90', 'throws'],
    ['k120', 'throws'],
  ])
  await bench.publishAll(Array.from({ length: 128 }, (_, index) => [`k${index}`, bad.get(`k${index}`) ?? ''] as const))
  const { backbone, witness } = bench.backbone()
  const runs = new Map<string, number>()
  let running = 0
  let most = 0
  backbone.subscribe(
    countedOn('t'),
    async ({ data }, { tx }) => {
      const { key, version, note } = data
      runs.set(key, (runs.get(key) ?? 0) + 1)
      running++
      most = Math.max(most, running)
      try {
        if (note === 'divides') await tx.query('select 1 / 0')
        await tx.query('insert into effect (key, version) values ($1, $2)', [key, version])
      } finally {
        running--
      }
      if (note === 'throws') throw new Error('no')
    },
    { interleave: true, retry: { inline: 0, delays: [] }, batch: { size: 64, latency: '10s' } },
  )
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect(most).toBe(together)
  expect(await bench.effects()).toHaveLength(123)
  expect(await bench.parked()).toHaveLength(5)
  expect(witness.all('batch.failed')).toHaveLength(1)
  // Three fail in the last batch: where it is one segment, nobody runs more than twice.
  const inLast = Array.from({ length: 64 }, (_, index) => runs.get(`k${index + 64}`) ?? 0)
  expect(Math.max(...inLast)).toBe(2)
})

test('handlers that run in order do so in short segments, also behind one that may run side by side', async () => {
  const bench = await ConsumeBench.open()
  const [Beside, InOrder] = [countedOn('t'), countedOn('t', 'test.Other')]
  // Never two in 25, and more than one in a batch.
  const bad = new Set([3, 40, 68, 96, 124, 152, 180].map((index) => `k${index}`))
  const publisher = bench.backbone().backbone
  await publisher.start({ run: ['relay'] })
  await publisher.transaction(async (tx) => {
    for (let index = 0; index < 200; index++) {
      const key = `k${index}`
      await publisher.publish(
        tx,
        (bad.has(key) || index % 2 === 1 ? InOrder : Beside)({ key, version: 1, note: bad.has(key) ? 'throws' : '' }),
      )
    }
  })
  await bench.relayed()
  const { backbone } = bench.backbone()
  const runs = new Map<string, number>()
  for (const [contract, interleave] of [
    [Beside, true],
    [InOrder, false],
  ] as const) {
    backbone.subscribe(
      contract,
      async ({ data: { key, version, note } }, { tx }) => {
        runs.set(key, (runs.get(key) ?? 0) + 1)
        await tx.query('insert into effect (key, version) values ($1, $2)', [key, version])
        if (note === 'throws') throw new Error('no')
      },
      { interleave, retry: { inline: 0, delays: [] }, batch: { size: 64, latency: '10s' } },
    )
  }
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect(await bench.effects()).toHaveLength(193)
  expect(await bench.parked()).toHaveLength(7)
  expect(Math.max(...runs.values())).toBe(2)
})

test('what fails now and then, whatever the message, is not searched for in whole batches', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(Array.from({ length: 512 }, (_, index) => `k${index}`))
  const { backbone } = bench.backbone()
  let runs = 0
  backbone.subscribe(
    countedOn('t'),
    async ({ data: { key, version } }, { tx }) => {
      const fails = ++runs % 150 === 0
      await tx.query('insert into effect (key, version) values ($1, $2)', [key, version])
      if (fails) throw new Error('busy')
    },
    { interleave: true, retry: { inline: 0, delays: ['1h'] }, batch: { size: 256, latency: '10s' } },
  )
  await backbone.start({ run: ['consume'] })

  await bench.reached(512)

  // By whole batches it was 4,049 runs for 26 that were parked.
  expect(runs).toBeLessThan(1_500)
  expect((await bench.parked()).length).toBeLessThanOrEqual(10)
  expect((await bench.effects()).length + (await bench.parked()).length).toBe(512)
})

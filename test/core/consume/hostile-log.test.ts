import { describe, expect, test } from 'vitest'
import type { LogRecord } from '../../../src/core/broker/log-producer.ts'
import { TransientError } from '../../../src/foundation/errors.ts'
import { countedOn } from '../../kit/contracts.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { Random } from '../../kit/random.ts'
import { Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

const Counted = countedOn('t')
const keys = ['a', 'b', 'c', 'd', 'e']

/** Every key's records in their order, keys mixed, and one of five written again somewhere behind itself. */
function shuffled(records: readonly LogRecord[], random: Random): LogRecord[] {
  const lanes = [...Map.groupBy(records, ({ key }) => String(key)).values()].map((lane) => [...lane])
  const mixed: LogRecord[] = []
  while (lanes.some((lane) => lane.length > 0)) {
    const open = lanes.filter((lane) => lane.length > 0)
    const next = open[random.between(0, open.length - 1)]?.shift()
    if (next !== undefined) mixed.push(next)
    if (random.between(1, 5) === 1) mixed.push(mixed[random.between(0, mixed.length - 1)] ?? mixed[0] ?? fail())
  }
  return mixed
}

function fail(): never {
  throw new Error('There is nothing to repeat.')
}

describe('a log that repeats a fifth of its messages and mixes the keys', () => {
  test.for([1, 2, 3])('changes nothing: each effect once, and in order per key (seed %d)', async (seed) => {
    const bench = await ConsumeBench.open()
    await bench.publishAll(Array.from({ length: 12 }, () => keys).flat())
    const records = await bench.records()
    // The group finds only what is written from here on.
    bench.log.truncate({ topic: 't', partition: 0 }, 60n)
    for (const record of shuffled(records, new Random(seed))) await bench.append(record)
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toHaveLength(60)
    expect(witness.count('delivery.duplicate')).toBeGreaterThan(0)
  })
})

describe('records that retention took', () => {
  test('before the group read them: told with the range, and it goes on with the first that is there', async () => {
    const bench = await ConsumeBench.open()
    await bench.publishAll(['a', 'b', 'c', 'd'])
    const { backbone } = await consuming(bench)
    await bench.settled()
    await backbone.stop()
    await bench.publishAll(['e', 'f', 'g'])
    bench.log.truncate({ topic: 't', partition: 0 }, 6n)
    await consuming(bench)

    await bench.reached(7)

    expect(await bench.effects()).toEqual(['a1', 'b1', 'c1', 'd1', 'g1'])
    expect(await bench.query('select kind, details from trunkline.incident')).toEqual([
      { kind: 'position_below_log_start', details: { position: '4', earliest: '6', latest: '7' } },
    ])
  })

  test('stop a group that wants to be stopped, told once, until a person moves its position', async () => {
    const bench = await ConsumeBench.open()
    await bench.publishAll(['a', 'b'])
    const { backbone: first } = await consuming(bench)
    await bench.settled()
    await first.stop()
    await bench.publishAll(['c', 'd'])
    bench.log.truncate({ topic: 't', partition: 0 }, 3n)
    const { backbone, witness } = bench.backbone()
    backbone.group('judge', { onGap: 'stop' })
    applyCounted(backbone, { topic: 't' })
    await backbone.start({ run: ['consume'] })
    await witness.saw('consumer.interrupted', () => true, 3)
    const effects = await bench.effects()

    await bench.query('update trunkline.consumer_position set next_offset = 3')
    await bench.reached(4)

    expect(effects).toEqual(['a1', 'b1'])
    expect(await bench.effects()).toEqual(['a1', 'b1', 'd1'])
    expect(await bench.query('select kind from trunkline.incident')).toEqual([{ kind: 'position_below_log_start' }])
  })
})

test('a group that begins with the latest message reads what came after it was first seen, however late it starts again', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b'])
  const start = async () => {
    const { backbone, witness } = bench.backbone()
    backbone.group('judge', { from: 'latest' })
    applyCounted(backbone, { topic: 't' })
    await backbone.start({ run: ['consume'] })
    await witness.saw('consumer.assigned')
    return backbone
  }
  await (await start()).stop()
  await bench.publishAll(['c', 'd'])
  await start()

  await bench.reached(4)

  expect(await bench.effects()).toEqual(['c1', 'd1'])
})

describe('a consumer whose COMMIT goes unanswered', () => {
  test.for(['lose the reply', 'lose the request'] as const)('makes each effect once: %s', async (fault) => {
    const bench = await ConsumeBench.open()
    await bench.publishAll(Array.from({ length: 8 }, () => keys).flat())
    await using proxy = await new PostgresProxy(bench.url).start()
    const assembly = bench.assembly({}, proxy.url)
    const witness = new Witness(assembly.diagnostics)
    assembly.diagnostics.on(({ name }) => {
      if (name === 'batch.committing' && proxy.fired < 2) proxy.cutNextCommit(fault)
    })
    applyCounted(assembly, { topic: 't' })
    await assembly.start({ run: ['consume'] })

    await bench.settled()

    expect(proxy.fired).toBeGreaterThanOrEqual(2)
    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toHaveLength(40)
    expect(witness.count('delivery.failed')).toBe(0)
  })
})

test('a full outbox pauses the partition, spends no attempt, and the group goes on when there is room', async () => {
  const bench = await ConsumeBench.open()
  await bench.publishAll(['a', 'b'])
  const { backbone, witness } = bench.backbone()
  let full = 2
  backbone.subscribe(Counted, async ({ data }, { tx, attempt }) => {
    if (full-- > 0) throw new TransientError('OUTBOX_FULL', 'As many messages wait as may.')
    await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, attempt])
  })
  await backbone.start({ run: ['consume'] })

  await bench.settled()

  expect(witness.count('consumer.interrupted', ({ reason }) => reason.includes('OUTBOX_FULL') || reason.includes('wait'))).toBe(2)
  expect(witness.count('delivery.failed')).toBe(0)
  expect(await bench.effects()).toEqual(['a1', 'b1'])
})

import { describe, expect, onTestFinished, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import { ConflictError, PermanentError } from '../../../src/foundation/errors.ts'
import { createBackbone } from '../../../src/index.ts'
import { attemptsCountedAfter } from '../../kit/broken/attempts-counted-after.ts'
import { unparkWithoutLock } from '../../kit/broken/unpark-without-lock.ts'
import { countedOn } from '../../kit/contracts.ts'
import { retriesWith } from '../../kit/retries-with.ts'
import { until, Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

async function consuming(bench: ConsumeBench, retry: SubscriptionOptions['retry']) {
  const started = bench.backbone()
  applyCounted(started.backbone, { topic: 't', retry })
  await started.backbone.start({ run: ['consume'] })
  return started
}

/** Moves `trunkline.now()`, for every session. */
async function later(bench: ConsumeBench, by: string): Promise<void> {
  await bench.query(
    `create or replace function trunkline.now() returns timestamptz language sql volatile as $$ select clock_timestamp() + interval '${by}' $$`,
  )
}

describe('a parked key', () => {
  test('runs in order when its first message works at last, and is free again', async () => {
    const bench = await ConsumeBench.open()
    await bench.publishAll([['a', 'fails 2'], 'a', 'b', ['a', 'fails 1'], 'a'])
    const { witness } = await consuming(bench, { inline: 2, delays: [] })

    await bench.settled()

    expect((await bench.effects()).filter((effect) => effect.startsWith('a'))).toEqual(['a1', 'a2', 'a3', 'a4'])
    expect(await bench.violations()).toEqual([])
    await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
    expect(witness.count('delivery.failed')).toBe(3)
  })

  test('waits for its delays by the clock of the database, and for no longer', async () => {
    const bench = await ConsumeBench.open()
    await bench.publishAll([['a', 'fails 2'], 'a'])
    const { witness } = await consuming(bench, { inline: 0, delays: ['1h', '1d'], jitter: 0 })
    await witness.saw('delivery.parked', ({ reason }) => reason === 'HANDLER_FAILED')
    await bench.settled()
    const waiting = await bench.query('select round(extract(epoch from due - now()) / 60)::int as minutes from trunkline.parked_key')

    await later(bench, '61 minutes')
    await witness.saw('delivery.failed', ({ attempt }) => attempt === 2)
    await until(
      'the second delay',
      async () => (await bench.query("select from trunkline.parked_key where due > now() + interval '1 day'")).length === 1,
    )
    await later(bench, '26 hours')
    await until('both effects', async () => (await bench.effects()).length === 2)

    expect(waiting).toEqual([{ minutes: 60 }])
    expect(await bench.effects()).toEqual(['a1', 'a2'])
    expect(
      witness
        .all('delivery.started')
        .filter(({ attempt }) => attempt > 1)
        .map(({ attempt }) => attempt),
    ).toEqual([2, 3])
  })

  test('lets the later ones flow when its subscription skips what is used up, and keeps what it skipped', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    backbone.subscribe(
      Counted,
      async ({ data }, { tx }) => {
        if (data.note === 'poison') throw new Error('no')
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 1, delays: [] }, onExhausted: 'skip' },
    )
    await bench.publishAll(['a', ['a', 'poison'], 'a'])
    await backbone.start({ run: ['consume'] })

    await bench.settled()
    await until('both effects', async () => (await bench.effects()).length === 2)

    expect(await bench.effects()).toEqual(['a1', 'a3'])
    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 2, reason_code: 'HANDLER_FAILED', keyed: false }])
    expect(await bench.query('select message from trunkline.incident')).toEqual([
      { message: expect.stringContaining('Nobody waits for it') },
    ])
  })

  test('stops in the middle of its queue when a person pauses its group, and goes on there', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    backbone.subscribe(
      Counted,
      async ({ data }, { tx, attempt }) => {
        if (data.version === 1 && attempt === 1) throw new Error('not yet')
        if (data.version === 1) await released
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 1, delays: [] } },
    )
    await bench.publishAll(['a', 'a', 'a'])
    await backbone.start({ run: ['consume'] })
    await witness.saw('delivery.started', ({ attempt }) => attempt === 2)
    await bench.reached(3)

    await bench.query("insert into trunkline.group_pause (consumer_group, paused_by, reason) values ('judge', 'test', 'test')")
    await witness.saw('consumer.paused')
    release()
    await until('a pause that is effective', async () => {
      return (await bench.query("select from trunkline.process where 'judge' = any (paused)")).length === 1
    })
    const whilePaused = await bench.effects()
    await bench.query('delete from trunkline.group_pause')
    await until('all effects', async () => (await bench.effects()).length === 3)

    expect(whilePaused).toEqual(['a1'])
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3'])
  })

  class Hopeless extends Error {}

  test.for([
    ['a code', ['NO_MONEY'], () => Object.assign(new Error('x'), { code: 'NO_MONEY' })],
    ['a name', ['TypeError'], () => new TypeError('x')],
    ['a class', [Hopeless], () => new Hopeless('x')],
    ['a function', (error: unknown) => error instanceof RangeError, () => new RangeError('x')],
    ['nothing, for a PermanentError', [], () => new PermanentError('NO', 'x')],
  ] as const)('is held at once by an error that is permanent by %s', async ([, permanent, thrown]) => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    const list = typeof permanent === 'function' ? permanent : [...permanent]
    backbone.subscribe(Counted, () => Promise.reject(thrown()), { retry: { permanent: list } })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 1 }])
    expect(witness.count('delivery.failed')).toBe(1)
  })

  test('spends no attempt when the connection of a retry breaks', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    let broken = 0
    backbone.subscribe(
      Counted,
      async ({ data }, { tx, attempt }) => {
        if (attempt === 1) throw new Error('not yet')
        if (broken++ === 0) await tx.query('select pg_terminate_backend(pg_backend_pid())')
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 1, delays: [] } },
    )
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await until('the effect', async () => (await bench.effects()).length === 1)

    expect(broken).toBe(2)
    expect(witness.count('delivery.failed')).toBe(1)
    expect(await bench.parked()).toEqual([])
  })

  test('without a message is taken away: somebody died before its end', async () => {
    const bench = await ConsumeBench.open()
    await bench.query(
      "insert into trunkline.parked_key (consumer_group, topic, key_hash, key, lease_token) values ('judge', 't', sha256('a'), 'a', gen_random_uuid())",
    )
    await consuming(bench, {})

    await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)

    await bench.publish('a')
    await bench.settled()
    expect(await bench.effects()).toEqual(['a1'])
  })

  test('whose messages come as fast as they run is freed by one last transaction', async () => {
    const bench = await ConsumeBench.open()
    const messages = [['a', 'fails 1'] as const, ...Array.from({ length: 80 }, () => 'a')]
    await bench.publishAll(messages)
    const { witness } = await consuming(bench, { inline: 1, delays: [] })

    await until('every effect', async () => (await bench.effects()).length === messages.length)

    expect(await bench.violations()).toEqual([])
    expect(witness.all('retry.draining')).toEqual([{ group: 'judge', messages: expect.any(Number) }])
    await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
  })
})

describe('a message that may have ended a process', () => {
  async function leftBehind(alone: boolean) {
    const bench = await ConsumeBench.open()
    await bench.park('a')
    await bench.query('update trunkline.parked_key set lease_token = gen_random_uuid(), lease_alone = $1', [alone])
    const { witness } = await consuming(bench, { inline: 2, delays: [] })
    return { bench, witness }
  }

  test('runs again, alone, when others ran beside it', async () => {
    const { bench, witness } = await leftBehind(false)

    await witness.saw('retry.unparked')

    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.parked')).toBe(0)
  })

  test('is charged when it was alone, waits for a while, and is not dead by that', async () => {
    const { bench, witness } = await leftBehind(true)

    await witness.saw('delivery.parked', ({ reason }) => reason === 'PROCESS_ENDED')

    expect(await bench.effects()).toEqual([])
    expect(await bench.parked()).toEqual([{ state: 'waiting', attempts: 2, reason_code: 'PROCESS_ENDED', keyed: true }])
    expect(await bench.query("select from trunkline.parked_key where due > now() + interval '5 seconds'")).toHaveLength(1)
  })
})

describe('a group that keeps as much as it may', () => {
  test('lets the partition wait where something would have to be set aside, says so once, and goes on when there is room', async () => {
    const bench = await ConsumeBench.open()
    const backbone = createBackbone({
      service: 'judge',
      kafka: { driver: 'memory', log: bench.log },
      database: { connectionString: bench.url },
      parking: { rowsMax: 2 },
      logger: false,
    })
    onTestFinished(() => backbone.stop())
    const witness = new Witness(backbone.diagnostics)
    applyCounted(backbone, { topic: 't', retry: { inline: 0, delays: [] } })
    await bench.publishAll([['a', 'poison'], ['b', 'poison'], 'd', ['c', 'poison'], 'e'])
    await backbone.start({ run: ['consume'] })
    await witness.saw('incident.recorded', ({ kind }) => kind === 'parking_full')
    await witness.saw('consumer.interrupted', () => true, 2)
    const kept = await bench.parked()
    const incidents = await bench.query("select message from trunkline.incident where kind = 'parking_full'")

    await bench.query('delete from trunkline.parked_message where seq = (select min(seq) from trunkline.parked_message)')
    await bench.settled()

    expect(kept).toHaveLength(2)
    expect(incidents).toEqual([{ message: expect.stringMatching(/keeps [12] messages .* may keep 2 .*parking.rowsMax/) }])
    expect((await bench.effects()).toSorted()).toEqual(['d1', 'e1'])
    expect(await bench.parked()).toHaveLength(2)
  })
})

test('what was discarded is forgotten after its time', async () => {
  const bench = await ConsumeBench.open()
  await bench.park('a', 'b')
  await bench.query(
    "update trunkline.parked_message set state = 'discarded', key_topic = null, key_hash = null, discarded_at = now() - interval '13 days'",
  )
  await bench.query(
    "update trunkline.parked_message set discarded_at = now() - interval '15 days' where seq = (select min(seq) from trunkline.parked_message)",
  )
  await consuming(bench, {})

  await until('one message less', async () => (await bench.parked()).length < 2)

  expect(await bench.parked()).toHaveLength(1)
})

describe('a build that cannot handle a type', () => {
  test('leaves it, and its key, to one that can, and spends no attempt on it', async () => {
    const bench = await ConsumeBench.open()
    const Other = countedOn('t', 'test.Other')
    const apply = (service: ReturnType<ConsumeBench['backbone']>['backbone']): void =>
      service.subscribe(Other, async ({ data }, { tx }) => {
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      })
    const { backbone: publisher } = bench.backbone()
    const other = bench.backbone()
    apply(other.backbone)
    // The group now handles it, in a build that is gone.
    await other.backbone.start({ run: ['consume'] })
    await other.witness.saw('consumer.assigned')
    await other.backbone.stop()
    await publisher.transaction((tx) => publisher.publish(tx, [Other({ key: 'a', version: 1 }), Counted({ key: 'a', version: 2 })]))
    await bench.publish('b')
    const old = await consuming(bench, {})
    await bench.settled()
    const kept = await bench.parked()
    const looks = old.witness.count('retry.leased')

    const next = bench.backbone()
    apply(next.backbone)
    applyCounted(next.backbone, { topic: 't' })
    await next.backbone.start({ run: ['consume'] })
    await until('the effects', async () => (await bench.effects()).length === 3)

    expect(looks).toBe(0)
    expect(kept).toEqual([
      { state: 'waiting', attempts: 0, reason_code: 'HANDLER_ELSEWHERE', keyed: true },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED', keyed: true },
    ])
    expect((await bench.effects()).filter((effect) => effect.startsWith('a'))).toEqual(['a1', 'a2'])
    await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
    expect(old.witness.count('delivery.started', ({ type }) => type === 'test.Other.v1')).toBe(0)
  })
})

describe('two processes with parked keys and live batches', () => {
  test('overtake, strand and repeat nothing', { timeout: 60_000 }, async () => {
    const bench = await ConsumeBench.open(2)
    const keys = ['a', 'b', 'c', 'd']
    const notes = ['fails 1', '', '', 'fails 2', '', '', '']
    await Promise.all([consuming(bench, { inline: 2, delays: [] }), consuming(bench, { inline: 2, delays: ['0ms'] })])

    for (let round = 0; round < 12; round++) {
      await bench.publishAll(keys.map((key, index) => [key, notes[(round + index) % notes.length] ?? ''] as const))
    }

    await until('every effect', async () => (await bench.effects()).length === 48, 40_000)
    expect(await bench.violations()).toEqual([])
    await until('no parked key', async () => (await bench.query('select from trunkline.parked_key')).length === 0)
    expect(await bench.parked()).toEqual([])
  })
})

test('a parked message is not charged while somebody else has the lock of its key, however long', async () => {
  const bench = await ConsumeBench.open()
  const assembly = bench.assembly({
    retries: (real) =>
      retriesWith(real, { take: () => Promise.reject(new ConflictError('DATABASE_CONFLICT', 'Another transaction was first.')) }),
  })
  const witness = new Witness(assembly.diagnostics)
  applyCounted(assembly, { topic: 't', retry: { inline: 0, delays: [] } })
  await bench.park('a')
  await assembly.start({ run: ['consume'] })

  await Promise.race([witness.saw('retry.interrupted'), witness.saw('delivery.failed')])

  expect(witness.count('delivery.failed')).toBe(0)
  expect(await bench.parked()).toMatchObject([{ state: 'waiting' }])
})

describe('a seeded bug shows itself', () => {
  test('a key that is unparked without its lock strands what is appended meanwhile', async () => {
    const bench = await ConsumeBench.open()
    // Whoever is to be stranded is appended between the look and the end.
    const assembly = bench.assembly({
      retries: (real, database) => {
        const broken = unparkWithoutLock(real, database)
        return {
          ...broken,
          unpark: async (key) => {
            await bench.park('a')
            return await broken.unpark(key)
          },
        }
      },
    })
    const witness = new Witness(assembly.diagnostics)
    applyCounted(assembly, { topic: 't' })
    await bench.park('a')
    await assembly.start({ run: ['consume'] })
    await witness.saw('retry.unparked')

    const stranded = await bench.query(
      'select from trunkline.parked_message m where not exists (select from trunkline.parked_key k where k.key_hash = m.key_hash)',
    )

    expect(stranded).toHaveLength(1)
  })

  test('the same, with its lock, strands nothing', async () => {
    const bench = await ConsumeBench.open()
    let appended = 0
    const assembly = bench.assembly({
      retries: (real) =>
        retriesWith(real, {
          unpark: async (key) => {
            if (appended++ === 0) await bench.park('a')
            return await real.unpark(key)
          },
        }),
    })
    const witness = new Witness(assembly.diagnostics)
    applyCounted(assembly, { topic: 't' })
    await bench.park('a')
    await assembly.start({ run: ['consume'] })

    await witness.saw('retry.unparked')

    expect(await bench.effects()).toEqual(['a1', 'a2'])
    expect(await bench.parked()).toEqual([])
  })

  test('attempts that are counted when they succeed never end a message that never does', async () => {
    const bench = await ConsumeBench.open()
    const assembly = bench.assembly({ retries: attemptsCountedAfter })
    const witness = new Witness(assembly.diagnostics)
    applyCounted(assembly, { topic: 't' })
    await bench.publish('a', 'poison')
    await assembly.start({ run: ['consume'] })

    // Three attempts are allowed.
    await witness.saw('delivery.failed', () => true, 10)

    expect(await bench.parked()).toMatchObject([{ state: 'waiting', attempts: 1 }])
  })
})

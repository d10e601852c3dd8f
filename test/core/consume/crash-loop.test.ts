import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { type TestBackbone, testBackbone } from '../../../src/faces/testing/testing.ts'
import { countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

const Counted = countedOn('counted')

interface Under {
  readonly t: TestBackbone
  /** What ran, in order: a note stands for its message, and for how many ran beside it. */
  readonly ran: string[]
  crashes: number
}

/** A service that dies, as by SIGKILL, on every message whose note says so. */
async function dying(options: SubscriptionOptions, { partitions = 1, deaths = Number.POSITIVE_INFINITY } = {}): Promise<Under> {
  const ran: string[] = []
  let running = 0
  const under = {
    ran,
    crashes: 0,
    t: await testBackbone({
      partitions,
      database: inject('databaseUrl'),
      prepare: async (tx: Transaction) => void (await tx.query('create table effect (key text, version integer)')),
      register: [
        (backbone) =>
          backbone.subscribe(
            Counted,
            async ({ data }, { tx, signal }) => {
              running++
              const dies = data.note === 'dies' && under.crashes < deaths
              ran.push(`${data.key}${data.version}${dies ? ` dies beside ${running - 1}` : ''}`)
              try {
                if (dies) {
                  under.crashes++
                  under.t.crash()
                  await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
                }
                await tx.query('insert into effect values ($1, $2)', [data.key, data.version])
              } finally {
                running--
              }
            },
            options,
          ),
      ],
    }),
  }
  onTestFinished(() => under.t.close())
  return under
}

const effects = async ({ t }: Under) =>
  (await t.query('select key, version from effect order by key, version')).map(({ key, version }) => `${key}${version}`)
const innocents = ['a1', 'a2', 'c1', 'c2']

function messages() {
  const [a1, c1, b1, b2, a2, c2] = [
    Counted({ key: 'a', version: 1 }),
    Counted({ key: 'c', version: 1 }),
    Counted({ key: 'b', version: 1, note: 'dies' }),
    Counted({ key: 'b', version: 2 }),
    Counted({ key: 'a', version: 2 }),
    Counted({ key: 'c', version: 2 }),
  ]
  return [a1, c1, b1, b2, a2, c2]
}

describe('a message that ends its process', () => {
  test('is parked once it did so alone, becomes a dead letter by its policy, and its neighbours are applied once', async () => {
    const under = await dying({ retry: { inline: 0, delays: ['1s'], jitter: 0 } })

    await under.t.publish(messages())
    await under.t.quiet({ allowDeadLetters: true, within: '60s' })

    expect(await effects(under)).toEqual(innocents)
    expect(await under.t.deadLetters()).toMatchObject([{ reasonCode: 'PROCESS_ENDED', attempts: 2 }])
    // Once in its batch, once alone, and once in each retry that its policy allows.
    expect(under.crashes).toBe(3)
    expect(under.ran.filter((line) => line.startsWith('b1'))).toEqual(Array(3).fill('b1 dies beside 0'))
    const kinds = await under.t.query('select distinct kind from trunkline.incident order by kind')
    expect(kinds.map(({ kind }) => kind)).toEqual(['dead_letter', 'process_ended'])
    // Behind the dead letter its key waits, as behind any other.
    expect(await under.t.query('select state from trunkline.parked_message order by seq')).toEqual([
      { state: 'dead' },
      { state: 'waiting' },
    ])
  })

  test('flows again, in its order, when the next build has mended it', async () => {
    const under = await dying({ retry: { inline: 0, delays: ['1s', '1s', '1s'] } }, { deaths: 3 })

    await under.t.publish(messages())
    await under.t.quiet({ within: '60s' })

    expect(under.crashes).toBe(3)
    expect(await effects(under)).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'])
    expect(under.ran.slice(under.ran.lastIndexOf('b1'))).toEqual(['b1', 'b2'])
  })

  test('in a batch of a policy that retries nothing is still parked first, and dead only after one retry', async () => {
    const under = await dying({ retry: { inline: 0, delays: [] } })

    await under.t.publish(messages())
    await under.t.quiet({ allowDeadLetters: true, within: '60s' })

    expect(await under.t.deadLetters()).toMatchObject([{ reasonCode: 'PROCESS_ENDED', attempts: 2 }])
    expect(await effects(under)).toEqual(innocents)
  })

  test('does not run beside a message of another partition when it is suspect', async () => {
    const under = await dying({ retry: { inline: 0, delays: [] } }, { partitions: 3 })

    await under.t.publish(messages())
    await under.t.quiet({ allowDeadLetters: true, within: '60s' })

    const deaths = under.ran.filter((line) => line.startsWith('b1 dies'))
    expect(deaths.slice(1)).toEqual(Array(deaths.length - 1).fill('b1 dies beside 0'))
    expect(await effects(under)).toEqual(innocents)
  })
})

describe('a process that ends for another reason', () => {
  test('charges nobody: what it had begun runs message by message, and everything is applied', async () => {
    const under = await dying({ retry: { inline: 0, delays: [] } })
    const begun = under.t.backbone.diagnostics.next('batch.committing')
    await under.t.publish(messages().filter((message) => message?.data.note !== 'dies'))

    await begun
    under.t.crash()
    await under.t.quiet()

    expect(await effects(under)).toEqual(['a1', 'a2', 'b2', 'c1', 'c2'])
    expect(await under.t.query('select from trunkline.parked_message')).toEqual([])
    expect(await under.t.query('select started_to, started_by, suspect_to from trunkline.consumer_position')).toEqual([
      { started_to: null, started_by: null, suspect_to: null },
    ])
  })

  test('and stops in order, leaves nothing to be suspected', async () => {
    const under = await dying({})
    const begun = under.t.backbone.diagnostics.next('batch.claimed')
    await under.t.publish(messages().filter((message) => message?.data.note !== 'dies'))

    await begun
    await under.t.backbone.stop()

    expect(await under.t.query('select started_by, suspect_to from trunkline.consumer_position')).toEqual([
      { started_by: null, suspect_to: null },
    ])
    expect(await under.t.query('select from trunkline.process')).toEqual([])
  })
})

describe('whoever takes a partition over', () => {
  const former = '00000000-0000-4000-8000-00000000000f'

  /** A partition whose owner had begun a batch, and is alive for so long. */
  async function begunElsewhere(bench: ConsumeBench, aliveFor: string): Promise<void> {
    await bench.query(
      `insert into trunkline.process (id, service, host, pid, groups, paused, expires_at)
       values ($1, 'judge', 'elsewhere', 1, '{judge}', '{}', trunkline.now() + $2::interval)`,
      [former, aliveFor],
    )
    await bench.query(
      `insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset, started_to, started_by)
       values ('judge', 't', 0, 1, 0, 2, $1)`,
      [former],
    )
  }

  test('waits until the former owner has let go, and then suspects nothing', async () => {
    const bench = await ConsumeBench.open()
    for (let version = 1; version <= 3; version++) await bench.publish('a')
    await begunElsewhere(bench, '1 hour')
    const { witness } = await consuming(bench)
    await witness.saw('consumer.assigned')
    await until('a second look', async () => (await bench.query("select from trunkline.process where service = 'judge'")).length === 2)
    const early = witness.count('delivery.started')

    await bench.query('update trunkline.consumer_position set started_to = null, started_by = null')
    await bench.settled()

    expect(early).toBe(0)
    expect(witness.count('consumer.suspects')).toBe(0)
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3'])
  })

  test('suspects what a dead owner had begun, and no more than that', async () => {
    const bench = await ConsumeBench.open()
    for (let version = 1; version <= 3; version++) await bench.publish('a')
    await begunElsewhere(bench, '-1 second')
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(witness.all('consumer.suspects')).toEqual([{ group: 'judge', topic: 't', partition: 0, from: 0n, to: 2n }])
    expect(witness.all('batch.began').map(({ messages }) => messages)).toEqual([1, 1, 1])
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3'])
  })
})

test('a process that loses a partition lets go of it: the next owner does not wait for it, and suspects nothing', async () => {
  const bench = await ConsumeBench.open(4)
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await bench.publish(key)
  const first = await consuming(bench)
  const second = await consuming(bench)
  for (let round = 0; round < 6; round++) {
    bench.log.faults.rebalance('judge')
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await bench.publish(key)
  }

  await bench.settled()

  expect(await bench.violations()).toEqual([])
  await until(
    'no note of a living process',
    async () => (await bench.query('select from trunkline.consumer_position where started_by is not null')).length === 0,
  )
  expect(first.witness.count('consumer.suspects') + second.witness.count('consumer.suspects')).toBe(0)
})

describe('what a batch has begun', () => {
  test('is noted for others to see when its first handler starts', async () => {
    const bench = await ConsumeBench.open()
    const seen: unknown[] = []
    for (let version = 1; version <= 3; version++) await bench.publish('a')
    const { backbone, witness } = bench.backbone()
    backbone.subscribe(countedOn('t'), async () => {
      seen.push(...(await bench.query('select started_to::int as to from trunkline.consumer_position where started_by is not null')))
    })

    await backbone.start({ run: ['consume'] })
    await bench.settled()

    expect(witness.count('batch.committed')).toBe(1)
    expect(seen).toEqual([{ to: 3 }, { to: 3 }, { to: 3 }])
  })

  test('runs no handler while it cannot be noted, and is applied once it can', async () => {
    const bench = await ConsumeBench.open()
    for (let version = 1; version <= 3; version++) await bench.publish('a')
    await bench.query(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no notes'; end $$`)
    await bench.query(
      `create trigger refuse before update on trunkline.consumer_position
         for each row when (new.started_by is not null) execute function refuse()`,
    )
    const { witness } = await consuming(bench)

    await until('two tries', () => witness.count('batch.failed') >= 2)
    const early = witness.count('delivery.started')
    await bench.query('drop trigger refuse on trunkline.consumer_position')
    await bench.settled()

    expect(early).toBe(0)
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3'])
  })
})

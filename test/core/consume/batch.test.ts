import { describe, expect, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import type { Handler } from '../../../src/core/consume/subscription.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { type Counted as CountedContract, countedOn } from '../../kit/contracts.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

const Out = countedOn('out', 'test.Other')

/** Publishes to the keys first, so that one batch holds them all, and then consumes. */
async function batchOf(
  keys: readonly (string | readonly [string, string])[],
  handler: Handler<CountedContract, Transaction>,
  options: SubscriptionOptions = {},
) {
  const bench = await ConsumeBench.open()
  await bench.log.driver().admin.createTopics([{ name: 'out', partitions: 1, replicationFactor: 1 }])
  await bench.publishAll(keys)
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, handler, options)
  await backbone.start({ run: ['consume'] })
  await bench.settled()
  await bench.relayed()
  return { bench, witness }
}

const apply: Handler<CountedContract, Transaction> = async ({ data }, { tx }) => {
  if (data.note === 'poison') throw new Error('This message always fails.')
  await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
}

describe('a batch', () => {
  test('is one transaction: its effects commit together', async () => {
    const { bench, witness } = await batchOf(['a', 'b', 'a', 'c'], apply)

    expect(witness.count('batch.committed', ({ messages }) => messages === 4)).toBe(1)
    expect(await bench.effects()).toEqual(['a1', 'b1', 'a2', 'c1'])
    expect(await bench.query('select count(distinct xmin::text)::int as transactions from effect')).toEqual([{ transactions: 1 }])
  })

  test('runs only the first of two records with the same id', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a')
    await bench.sendAgain()
    const { backbone, witness } = bench.backbone()
    backbone.subscribe(Counted, apply)
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(witness.count('batch.committed', ({ messages }) => messages === 2)).toBe(1)
    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.duplicate')).toBe(1)
  })

  test('runs again without the lane that threw, and with what stood before it', async () => {
    const { bench, witness } = await batchOf(['a', 'b', ['b', 'poison'], 'c', 'b', 'a'], apply, { retry: { inline: 0, delays: [] } })

    expect(await bench.effects()).toEqual(['a1', 'b1', 'c1', 'a2'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 1 }, { state: 'waiting' }])
    expect(witness.count('delivery.failed')).toBe(1)
    expect(await bench.violations()).toEqual([])
  })

  test('goes on in one transaction after a failure, whatever fails in it next', async () => {
    const poison: readonly string[] = ['k20', 'k41', 'k55']
    const keys = Array.from({ length: 60 }, (_, index) => (poison.includes(`k${index}`) ? ([`k${index}`, 'poison'] as const) : `k${index}`))
    const insertsFirst: Handler<CountedContract, Transaction> = async ({ data }, { tx, publish }) => {
      publish(Out({ key: data.key, version: 1 }))
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      if (data.note === 'poison') throw new Error('no')
    }
    const { bench, witness } = await batchOf([...keys, 'k41', 'k1', 'k55'], insertsFirst, { retry: { inline: 0, delays: [] } })

    const effects = await bench.effects()
    expect(effects).toEqual([...keys.flatMap((key) => (typeof key === 'string' ? [`${key}1`] : [])), 'k12'])
    // Which of them stand in one batch depends on what had come when it was read.
    expect((await bench.parked()).map(({ state }) => String(state)).toSorted()).toEqual(['dead', 'dead', 'dead', 'waiting', 'waiting'])
    // Only the first failure cost a transaction; what the failed handlers published went with them.
    expect(witness.count('batch.failed')).toBe(1)
    expect((await bench.headersOf('out')).map((headers) => headers['ce_subject'])).toEqual(effects.map((name) => name.slice(0, -1)))
  })

  test('finds the message whose COMMIT fails by halving, and charges no other', async () => {
    const bench = await ConsumeBench.open()
    await bench.query('create table parent (id int primary key)')
    await bench.query('create table child (id int references parent deferrable initially deferred)')
    await bench.publishAll(['a', 'b', 'c', ['d', 'orphan'], 'e'])
    const { backbone, witness } = bench.backbone()
    backbone.subscribe(
      Counted,
      async (message, delivery) => {
        if (message.data.note === 'orphan') await delivery.tx.query('insert into child values (1)')
        await apply(message, delivery)
      },
      { retry: { inline: 1, delays: [] } },
    )
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1', 'b1', 'c1', 'e1'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 2 }])
    expect(witness.all('delivery.failed').map(({ id }) => id)).toHaveLength(2)
    expect(new Set(witness.all('delivery.failed').map(({ id }) => id)).size).toBe(1)
  })

  test('runs whole again after a conflict, without charge', async () => {
    let runs = 0
    const { bench, witness } = await batchOf(
      ['a', 'b', 'c'],
      async (message, delivery) => {
        if (message.data.key === 'b' && ++runs <= 2) await delivery.tx.query("do $$ begin raise exception using errcode = '40001'; end $$")
        await apply(message, delivery)
      },
      { retry: { inline: 0, delays: [] } },
    )

    expect(await bench.effects()).toEqual(['a1', 'b1', 'c1'])
    expect(witness.count('delivery.failed')).toBe(0)
    expect(witness.all('batch.failed').map(({ next }) => next)).toEqual(['conflict', 'conflict'])
  })

  test('loses nothing to a message that catches the error of its own statement', async () => {
    const { bench } = await batchOf(
      ['a', ['b', 'catches'], 'c'],
      async (message, delivery) => {
        await apply(message, delivery)
        if (message.data.note === 'catches') await delivery.tx.query('select 1 / 0').catch(() => undefined)
      },
      { retry: { inline: 0, delays: [] } },
    )

    expect(await bench.effects()).toEqual(['a1', 'c1'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 1 }])
  })

  test('charges a statement that a handler did not wait for to that handler', async () => {
    const { bench } = await batchOf(
      ['a', ['b', 'does not wait'], 'c'],
      async (message, delivery) => {
        await apply(message, delivery)
        if (message.data.note === 'does not wait') void delivery.tx.query('select 1 / 0').catch(() => undefined)
      },
      { retry: { inline: 0, delays: [] } },
    )

    expect(await bench.effects()).toEqual(['a1', 'c1'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead' }])
  })

  test('ends the transaction of a handler with the handler, while the batch goes on', async () => {
    let kept: Transaction | undefined
    const late: unknown[] = []
    const { bench } = await batchOf(['a', 'b'], async (message, delivery) => {
      if (kept !== undefined) await kept.query("insert into effect (key, version) values ('late', 1)").catch((error) => late.push(error))
      kept = delivery.tx
      await apply(message, delivery)
    })

    expect(late).toMatchObject([{ code: 'TRANSACTION_ENDED' }])
    expect(await bench.effects()).toEqual(['a1', 'b1'])
  })

  test('gives what is published the cause of its own message, however it is published', async () => {
    const bench = await ConsumeBench.open()
    await bench.log.driver().admin.createTopics([{ name: 'out', partitions: 1, replicationFactor: 1 }])
    await bench.publishAll(['a', 'b', 'c'])
    const { backbone } = bench.backbone()
    const causes: string[] = []
    backbone.subscribe(Counted, async ({ id, data }, { tx, publish }) => {
      causes.push(id, id)
      publish(Out({ key: data.key, version: 1 }))
      await backbone.publish(tx, Out({ key: data.key, version: 2 }))
    })
    await backbone.start({ run: ['consume', 'relay'] })

    await bench.settled()
    await bench.relayed()

    const published = await bench.headersOf('out')
    expect(published.map((headers) => headers['ce_causationid'])).toEqual(causes)
    expect(causes).toHaveLength(6)
  })
})

/** Sells the last unit to whoever reads it first. */
const sell: Handler<CountedContract, Transaction> = async ({ data }, { tx }) => {
  const { rows } = await tx.query('select units from stock')
  if (Number(rows[0]?.['units']) < 1) return
  await tx.query('update stock set units = units - 1')
  await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
}

async function lastUnit(options: SubscriptionOptions) {
  const bench = await ConsumeBench.open()
  await bench.query('create table stock as select 1 as units')
  await bench.publishAll(['a', 'b'])
  const { backbone, witness } = bench.backbone()
  backbone.subscribe(Counted, sell, options)
  await backbone.start({ run: ['consume'] })
  await bench.settled()
  expect(witness.count('batch.committed', ({ messages }) => messages === 2)).toBe(1)
  return { sold: await bench.effects(), left: await bench.query('select units from stock') }
}

describe('two messages that want the last unit, in one batch', () => {
  test('get it once: handlers run one after another', async () => {
    expect(await lastUnit({})).toEqual({ sold: ['a1'], left: [{ units: 0 }] })
  })

  test('both get it where handlers interleave although their effects are not independent', async () => {
    expect(await lastUnit({ interleave: true })).toEqual({ sold: ['a1', 'b1'], left: [{ units: -1 }] })
  })
})

describe('an interleaved batch', () => {
  /** Resolves when so many handlers stand at it. */
  function gate(count: number) {
    const opened = Promise.withResolvers<void>()
    let standing = 0
    return async (): Promise<void> => {
      if (++standing === count) opened.resolve()
      await opened.promise
    }
  }

  test('runs its keys side by side, and each key one by one', async () => {
    const meet = gate(3)
    const order: string[] = []
    const { bench } = await batchOf(
      ['a', 'b', 'c', 'a', 'a'],
      async (message, delivery) => {
        const { key, version } = message.data
        if (version === 1) await meet()
        order.push(`${key}${version}`)
        await apply(message, delivery)
      },
      { interleave: true },
    )

    expect(order.filter((name) => name.startsWith('a'))).toEqual(['a1', 'a2', 'a3'])
    expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'a3', 'b1', 'c1'])
    expect(await bench.violations()).toEqual([])
  })

  test('sets aside every lane that threw at once, and applies the others', async () => {
    const { bench, witness } = await batchOf(['a', ['b', 'poison'], 'c', ['d', 'poison'], 'b', 'e'], apply, {
      interleave: true,
      retry: { inline: 0, delays: [] },
    })

    expect((await bench.effects()).toSorted()).toEqual(['a1', 'c1', 'e1'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead' }, { state: 'dead' }, { state: 'waiting' }])
    expect(witness.count('batch.failed')).toBe(1)
    expect(await bench.violations()).toEqual([])
  })

  test('charges a failed statement to the one whose it was', async () => {
    const { bench, witness } = await batchOf(
      ['a', ['b', 'divides'], 'c', 'd'],
      async (message, delivery) => {
        if (message.data.note === 'divides') await delivery.tx.query('select 1 / 0')
        await apply(message, delivery)
      },
      { interleave: true, retry: { inline: 0, delays: [] } },
    )

    expect((await bench.effects()).toSorted()).toEqual(['a1', 'c1', 'd1'])
    expect(witness.count('delivery.failed')).toBe(1)
  })

  test('goes on in one transaction after a failure, and charges a failed statement to the one whose it was', async () => {
    const bad: Readonly<Record<string, string>> = { k3: 'throws', k41: 'divides', k55: 'throws' }
    const keys = Array.from({ length: 60 }, (_, index) => [`k${index}`, bad[`k${index}`] ?? ''] as const)
    const { bench, witness } = await batchOf(
      keys,
      async (message, delivery) => {
        await apply(message, delivery)
        if (message.data.note === 'divides') await delivery.tx.query('select 1 / 0')
        if (message.data.note === 'throws') throw new Error('no')
      },
      { interleave: true, retry: { inline: 0, delays: [] } },
    )

    expect(await bench.effects()).toHaveLength(57)
    expect(await bench.parked()).toHaveLength(3)
    expect(witness.count('delivery.failed')).toBe(3)
    expect(witness.count('batch.failed')).toBe(1)
    expect(await bench.violations()).toEqual([])
  })

  test('runs in order where a handler needs a savepoint', async () => {
    const { bench, witness } = await batchOf(
      ['a', 'b', 'c'],
      async (message, delivery) => {
        await delivery.tx.savepoint(async () => await delivery.tx.query('select 1 / 0')).catch(() => undefined)
        await apply(message, delivery)
      },
      { interleave: true, retry: { inline: 0, delays: [] } },
    )

    expect(await bench.effects()).toEqual(['a1', 'b1', 'c1'])
    expect(witness.count('delivery.failed')).toBe(0)
  })
})

import { describe, expect, test } from 'vitest'
import type { SubscriptionOptions } from '../../../src/core/consume/registry.ts'
import type { Transaction } from '../../../src/core/database/database.ts'
import { ConflictError, PermanentError } from '../../../src/foundation/errors.ts'
import { countedOn } from '../../kit/contracts.ts'
import { Witness } from '../../kit/wait.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

const Counted = countedOn('t')

describe('a message that fails', () => {
  test('runs again at once, and counts its attempts', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    const attempts: number[] = []
    backbone.subscribe(
      Counted,
      async ({ data }, { tx, attempt }) => {
        attempts.push(attempt)
        if (attempt < 3) throw new Error('not yet')
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 2, delays: [] } },
    )
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(attempts).toEqual([1, 2, 3])
    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.failed')).toBe(2)
    expect(await bench.parked()).toEqual([])
  })

  test('holds its key and nobody else', async () => {
    const bench = await ConsumeBench.open()
    for (const key of ['a', 'b']) await bench.publish(key)
    await bench.publish('a', 'poison')
    for (const key of ['a', 'b', 'a']) await bench.publish(key)
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1', 'b1', 'b2'])
    expect(await bench.parked()).toEqual([
      { state: 'dead', attempts: 3, reason_code: 'HANDLER_FAILED', keyed: true },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED', keyed: true },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED', keyed: true },
    ])
    expect(await bench.violations()).toEqual([])
  })

  test('is not kept twice when it is sent again', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a', 'poison')
    await bench.publish('a')
    await bench.sendAgain()
    await consuming(bench)

    await bench.settled()

    expect(await bench.parked()).toHaveLength(2)
    expect(await bench.violations()).toEqual([])
  })

  test('is dead at once when the handler says that it will never work', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    let runs = 0
    backbone.subscribe(Counted, async () => {
      runs++
      throw new PermanentError('NO_SUCH_CUSTOMER', 'There is no such customer.')
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(runs).toBe(1)
    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 1, reason_code: 'NO_SUCH_CUSTOMER', keyed: true }])
  })

  test.for([false, true])('leaves a dead letter when a handler without promises throws at once; side by side: %s', async (interleave) => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    const atOnce = ({ data, tx }: { data: { key: string; version: number; note: string }; tx: Transaction }) => {
      if (data.note === 'bad') throw new Error('at once')
      return tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version]).then(() => undefined)
    }
    backbone.subscribe(Counted, ({ data }, { tx }) => atOnce({ data, tx }), { interleave, retry: { inline: 0, delays: [] } })
    await bench.publishAll(['a', ['b', 'bad'], 'c', ['d', 'bad']])
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    const dead = { state: 'dead', attempts: 1, reason_code: 'HANDLER_FAILED', keyed: true }
    expect(await bench.parked()).toEqual([dead, dead])
    expect((await bench.effects()).toSorted()).toEqual(['a1', 'c1'])
  })

  test('leaves a dead letter when its handler takes too long; what it still does is lost', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    const insert = "insert into effect (key, version) values ('late', 1)"
    let kept: Transaction | undefined
    backbone.subscribe(
      Counted,
      async (_, { tx, signal }) => {
        kept = tx
        signal.addEventListener('abort', () => void tx.query(insert).catch(() => undefined))
        await new Promise(() => undefined)
      },
      { timeout: '50ms', retry: { inline: 0, delays: [] } },
    )
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 1, reason_code: 'HANDLER_TIMEOUT', keyed: true }])
    await expect(kept?.query(insert)).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await bench.effects()).toEqual([])
  })

  test('counts a handler that caught the error of its statement', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a', 'catches its SQL error')
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual([])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 3 }])
  })

  test('spends no attempt on a conflict', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    let runs = 0
    backbone.subscribe(
      Counted,
      async ({ data }, { tx }) => {
        if (++runs <= 3) await tx.query("do $$ begin raise exception using errcode = '40001'; end $$")
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 0, delays: [] } },
    )
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.failed')).toBe(0)
  })

  test('that always meets a conflict is charged in the end, and holds up its key alone', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    backbone.subscribe(
      Counted,
      async ({ data }, { tx }) => {
        if (data.key === 'a') await tx.query("do $$ begin raise exception using errcode = '40001'; end $$")
        await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
      },
      { retry: { inline: 0, delays: [] } },
    )
    await bench.publish('a')
    await bench.publish('b')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['b1'])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 1, reason_code: 'DATABASE_CONFLICT', keyed: true }])
  })

  test('is not charged with a conflict of our own statements, however often they meet one', async () => {
    const bench = await ConsumeBench.open()
    let refused = 0
    const assembly = bench.assembly({
      inbox: (real) => ({
        claim: async (tx, group, claims) => {
          if (++refused <= 25) throw new ConflictError('DATABASE_CONFLICT', 'Another transaction was first.')
          return await real.claim(tx, group, claims)
        },
      }),
    })
    const witness = new Witness(assembly.diagnostics)
    assembly.subscribe(
      Counted,
      async ({ data }, { tx }) => void (await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])),
      { retry: { inline: 0, delays: [] } },
    )
    await bench.publish('a')
    await assembly.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.failed')).toBe(0)
  })
})

describe('an error of the database, which comes out of a socket,', () => {
  async function divide(tx: Transaction, by: number): Promise<void> {
    await tx.query('select 1 / $1::int', [by])
  }

  async function dividing(options: SubscriptionOptions) {
    const bench = await ConsumeBench.open()
    await bench.publishAll(['a', ['b', 'poison'], 'c', ['d', 'poison'], 'e'])
    const { backbone, witness } = bench.backbone()
    const ran: string[] = []
    backbone.subscribe(
      Counted,
      async ({ data }, { tx }) => {
        if (data.note === 'poison') ran.push(data.key)
        await divide(tx, data.note === 'poison' ? 0 : 1)
      },
      options,
    )
    await backbone.start({ run: ['consume'] })
    await bench.settled()
    const causes = await bench.query('select attempts, cause from trunkline.parked_message order by seq')
    return { bench, witness, ran, causes }
  }

  const cause = 'error 22012 in divide (consume/failing.test.ts) · test.Counted'
  const modes: [string, SubscriptionOptions][] = [
    ['in order', {}],
    ['side by side', { interleave: true }],
    ['in transactions of their own', { transaction: 'message' }],
  ]

  test.for(modes)('names the place that sent the statement, where messages run %s', async ([, options]) => {
    const { causes } = await dividing({ ...options, retry: { inline: 0, delays: [] } })

    expect(causes).toEqual([
      { attempts: 1, cause },
      { attempts: 1, cause },
    ])
  })

  test('names it in a retry too', async () => {
    const { causes } = await dividing({ retry: { inline: 1, delays: [] } })

    expect(causes).toEqual([
      { attempts: 2, cause },
      { attempts: 2, cause },
    ])
  })

  test('has the first message that fails run once more before it is charged, and not those that fail soon after', async () => {
    const { ran, witness } = await dividing({ retry: { inline: 0, delays: [] } })

    expect(ran).toEqual(['b', 'b', 'd'])
    expect(witness.count('delivery.failed')).toBe(2)
  })
})

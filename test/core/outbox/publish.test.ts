import { Client, Pool } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { BackboneOptions } from '../../../src/config.ts'
import { SCHEDULE_AHEAD_MAX_MS } from '../../../src/core/outbox/preparing.ts'
import { PUBLICATIONS_MAX } from '../../../src/core/outbox/publish.ts'
import { KEY_BYTES_MAX, MESSAGE_BYTES_MAX } from '../../../src/core/outbox/to-outbox-row.ts'
import { endsWithin } from '../../../src/foundation/service.ts'
import { createBackbone, fromPg, type Transaction } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { until } from '../../kit/wait.ts'

const Counted = countedOn('t')

/** A backbone that never starts: publishing needs no Kafka. */
async function publishing(more: Pick<BackboneOptions, 'outbox'> = {}) {
  const { url } = await createTestDatabase()
  const backbone = createBackbone({
    service: 'judge',
    kafka: { driver: 'memory' },
    database: { connectionString: url },
    logger: false,
    ...more,
  })
  const pool = new Pool({ connectionString: url, max: 1 })
  onTestFinished(async () => {
    await backbone.stop()
    await pool.end()
  })
  const rows = async (): Promise<Record<string, unknown>[]> =>
    (await pool.query('select id, topic, key, seq::int from trunkline.outbox order by seq')).rows
  const query = async (text: string): Promise<Record<string, unknown>[]> => (await pool.query(text)).rows
  return { backbone, rows, query, url }
}

/** About 1.4 MB. */
const fillSql = `
  insert into trunkline.outbox (bucket, key_hash, topic, id, value, headers)
  select 0, 0, 't', gen_random_uuid(), decode(repeat('00', 700), 'hex'), '' from generate_series(1, 2000)`

describe('publish', () => {
  test('writes in the order in which it was called, with the commit', async () => {
    const { backbone, rows } = await publishing()

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, Counted({ key: 'a', version: 1 }))
      await backbone.publish(tx, [Counted({ key: 'b', version: 1 }), Counted({ key: 'a', version: 2 })])
      expect(await rows()).toEqual([])
    })

    const written = await rows()
    expect(written.map(({ key }) => String(key))).toEqual(['a', 'b', 'a'])
    expect(written.map(({ id }) => id)).toEqual(written.map(({ id }) => String(id)).toSorted())
  })

  test('writes nothing when the transaction rolls back', async () => {
    const { backbone, rows } = await publishing()

    const aborted = backbone.transaction(async (tx) => {
      await backbone.publish(tx, Counted({ key: 'a', version: 1 }))
      throw new Error('abort')
    })

    await expect(aborted).rejects.toThrow('abort')
    expect(await rows()).toEqual([])
  })

  test('inside a savepoint goes away with the savepoint', async () => {
    const { backbone, rows } = await publishing()

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, Counted({ key: 'before', version: 1 }))
      await tx
        .savepoint(async () => {
          await backbone.publish(tx, Counted({ key: 'inside', version: 1 }))
          throw new Error('undo this part')
        })
        .catch(() => undefined)
      await tx.savepoint(() => backbone.publish(tx, Counted({ key: 'kept', version: 1 })))
    })

    expect((await rows()).map(({ key }) => String(key))).toEqual(['before', 'kept'])
  })

  test('is refused beside an open savepoint, whose rollback would take it along', async () => {
    const { backbone, rows } = await publishing()

    const work = backbone.transaction(async (tx) => {
      const undone = tx.savepoint(async () => {
        throw new Error('undo this part')
      })
      await Promise.allSettled([undone, backbone.publish(tx, Counted({ key: 'beside', version: 1 }))])
    })

    await expect(work).rejects.toMatchObject({ code: 'SAVEPOINT_OPEN' })
    expect(await rows()).toEqual([])
  })

  test('refuses a key and a message that Kafka would not take, before the commit', async () => {
    const { backbone, rows } = await publishing()
    const publish = (data: Parameters<typeof Counted>[0]) => backbone.transaction((tx) => backbone.publish(tx, Counted(data)))

    await expect(publish({ key: '', version: 1 })).rejects.toMatchObject({
      code: 'CONTRACT_VIOLATED',
      message: expect.stringMatching(/key/),
    })
    await expect(publish({ key: 'k'.repeat(KEY_BYTES_MAX + 1), version: 1 })).rejects.toMatchObject({ code: 'KEY_TOO_LARGE' })
    await expect(publish({ key: 'a', version: 1, note: 'n'.repeat(MESSAGE_BYTES_MAX) })).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
    })
    await publish({ key: 'k'.repeat(KEY_BYTES_MAX), version: 1 })

    expect(await rows()).toHaveLength(1)
  })

  test('refuses more messages than one transaction may have', async () => {
    const { backbone, rows } = await publishing()
    const messages = Array.from({ length: PUBLICATIONS_MAX + 1 }, (_, index) => Counted({ key: 'a', version: index }))

    const work = backbone.transaction((tx) => backbone.publish(tx, messages))

    await expect(work).rejects.toMatchObject({ code: 'TOO_MANY_PUBLICATIONS' })
    expect(await rows()).toEqual([])
  })

  test('refuses more bytes than one transaction may have, and counts none that a savepoint took back', async () => {
    const { backbone, rows } = await publishing()
    const large = Counted({ key: 'a', version: 1, note: 'n'.repeat(800 * 1024) })
    const nearly = Array.from({ length: 42 }, () => large)
    const undone = async (tx: Transaction): Promise<void> => {
      const inside = tx.savepoint(async () => {
        await backbone.publish(tx, nearly)
        throw new Error('undo this')
      })
      await expect(inside).rejects.toThrow('undo this')
    }

    const work = backbone.transaction(async (tx) => {
      await backbone.publish(tx, nearly)
      await backbone.publish(tx, nearly)
    })
    await expect(work).rejects.toMatchObject({ code: 'TOO_MANY_PUBLICATIONS', message: expect.stringContaining('64 MiB') })
    const within = backbone.transaction(async (tx) => {
      await undone(tx)
      await backbone.publish(tx, nearly)
      throw new Error('all of it fits')
    })

    await expect(within).rejects.toThrow('all of it fits')
    expect(await rows()).toEqual([])
  })

  test('keeps a message for later where it is to be sent later, and sends at once what is due', async () => {
    const { backbone, rows, query } = await publishing()
    const notBefore = new Date(Date.now() + 3_600_000)

    await backbone.transaction(async (tx) => {
      await backbone.publish(tx, Counted({ key: 'later', version: 1 }), { notBefore })
      await backbone.publish(tx, Counted({ key: 'now', version: 1 }))
      await backbone.publish(tx, Counted({ key: 'past', version: 1 }), { notBefore: new Date(0) })
    })

    expect((await rows()).map(({ key }) => String(key))).toEqual(['now', 'past'])
    expect(await query('select key, due_at from trunkline.outbox_scheduled')).toEqual([{ key: Buffer.from('later'), due_at: notBefore }])
  })

  test.for([new Date(Number.NaN), new Date(Date.now() + SCHEDULE_AHEAD_MAX_MS + 60_000)])(
    'refuses a time that cannot be meant: %s',
    async (notBefore) => {
      const { backbone, rows } = await publishing()

      const work = backbone.transaction((tx) => backbone.publish(tx, Counted({ key: 'a', version: 1 }), { notBefore }))

      await expect(work).rejects.toMatchObject({ code: 'NOT_BEFORE_INVALID', name: 'ContractError' })
      expect(await rows()).toEqual([])
    },
  )

  test('is refused when as many messages wait as may, and goes on when there is room again', async () => {
    const { backbone, query } = await publishing({ outbox: { rowsMax: 1_000 } })
    const publish = () => backbone.transaction((tx) => backbone.publish(tx, Counted({ key: 'a', version: 1 })))
    const many = Array.from({ length: 1_000 }, (_, index) => Counted({ key: 'a', version: index }))
    await backbone.transaction((tx) => backbone.publish(tx, many))

    const refusal = await until('a refusal', () =>
      publish().then(
        () => false,
        (error: unknown) => error,
      ),
    )
    const waiting = (await query('select count(*)::int as count from trunkline.outbox'))[0]?.['count']
    await query('delete from trunkline.outbox where seq > 500')
    await until('room', () =>
      publish().then(
        () => true,
        () => false,
      ),
    )

    expect(refusal).toMatchObject({ name: 'TransientError', code: 'OUTBOX_FULL', details: { rows: 1_000 } })
    expect(waiting).toBeGreaterThanOrEqual(1_000)
  })

  test('is refused by the very first transaction of a process that finds the outbox full', async () => {
    const { url, query } = await publishing()
    await query(fillSql)
    const late = createBackbone({
      service: 'judge',
      kafka: { driver: 'memory' },
      database: { connectionString: url },
      outbox: { bytesMax: 1_048_576 },
      logger: false,
    })
    onTestFinished(() => late.stop())

    const work = late.transaction((tx) => late.publish(tx, Counted({ key: 'a', version: 1 })))

    await expect(work).rejects.toMatchObject({ code: 'OUTBOX_FULL' })
  })

  test('measures the outbox in its own transaction: the first ones of a process may have taken every connection', async () => {
    const { url, query } = await publishing()
    const crowded = createBackbone({
      service: 'judge',
      kafka: { driver: 'memory' },
      database: { connectionString: url, maxConnections: 2, connectTimeout: '1m' },
      logger: false,
    })
    onTestFinished(() => crowded.stop())
    const bothOpen = Promise.withResolvers<void>()
    let open = 0
    const publish = () =>
      crowded.transaction(async (tx) => {
        await tx.query('select 1')
        if (++open === 2) bothOpen.resolve()
        await bothOpen.promise
        await crowded.publish(tx, Counted({ key: 'a', version: 1 }))
      })

    await Promise.all([publish(), publish()])

    expect(await query('select count(*)::int as count from trunkline.outbox')).toEqual([{ count: 2 }])
  })

  test('waits for no measure of another transaction, which may wait for a lock of this one', async () => {
    const { backbone, query, url } = await publishing()
    await query('create table stock (left_over integer)')
    await query('insert into stock values (1)')
    const [holder, waiter] = [new Client({ connectionString: url }), new Client({ connectionString: url })]
    for (const client of [holder, waiter]) {
      await client.connect()
      onTestFinished(() => client.end())
      await client.query('begin')
    }
    await holder.query('update stock set left_over = 0')

    const blocked = waiter.query('update stock set left_over = 2')
    const behind = backbone.publish(fromPg(waiter), Counted({ key: 'behind', version: 1 }))
    const published = backbone.publish(fromPg(holder), Counted({ key: 'a', version: 1 }))
    const inTime = await endsWithin(published, 10_000)
    await holder.query('commit')
    await Promise.all([blocked, behind, published])
    await waiter.query('commit')

    expect(inTime).toBe(true)
    expect(await query('select count(*)::int as count from trunkline.outbox')).toEqual([{ count: 2 }])
  })

  test('needs a transaction', async () => {
    const { backbone } = await publishing()
    const none: unknown = {}

    const work = backbone.publish(none as Parameters<typeof backbone.publish>[0], Counted({ key: 'a', version: 1 }))

    await expect(work).rejects.toMatchObject({ code: 'TRANSACTION_NEEDED' })
  })
})

describe('the options of a backbone', () => {
  const good = { service: 'judge', kafka: { driver: 'memory' }, database: { connectionString: 'postgres://127.0.0.1/x' } } as const

  test.for([
    [{ ...good, relai: {} }, 'unknown option "relai" (did you mean "relay"?)'],
    [{ ...good, relay: { batchsize: 3 } }, 'unknown option "relay.batchsize" (did you mean "batchSize"?)'],
    [{ ...good, relay: { batchSize: 0 } }, '"relay.batchSize"'],
    [{ ...good, relay: { lease: 5 } }, "expected a duration such as '250ms'"],
    [{ ...good, relay: { lease: '5ms' } }, 'from 1s to 5m'],
    [{ ...good, service: 'Not A Name' }, '"service"'],
    [{ ...good, database: { connectionString: 'mysql://x' } }, '"database'],
    [{ ...good, kafka: { driver: 'kafkajs', brokers: [] } }, '"kafka.brokers"'],
  ] as const)('%j is refused: %s', ([options, message]) => {
    const wrong: unknown = options

    expect(() => createBackbone(wrong as typeof good)).toThrow(message)
  })

  test.for([
    { ...good, database: { connectionString: 'mysql://user:hunter2@host/x' } },
    { ...good, kafka: { driver: 'kafkajs', brokers: ['b:9092'], sasl: { mechanism: 'plain', username: 'user', password: ['hunter2'] } } },
    { ...good, kafka: { driver: 'kafkajs', brokers: ['b:9092'], sasl: { mechanism: 'plain', username: 'user', passwort: 'hunter2' } } },
  ])('name no secret in their errors: %#', (options) => {
    const wrong: unknown = options

    expect(() => createBackbone(wrong as typeof good)).toThrow(/^(?!.*hunter2)createBackbone: /s)
  })
})

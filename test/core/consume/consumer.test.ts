import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'
import { PermanentError } from '../../../src/foundation/errors.ts'
import { noFence } from '../../kit/broken/no-fence.ts'
import { askedOn, countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench } from './consume-bench.ts'

const topic = 't'
const Counted = countedOn(topic)

/** A started consumer with the workload's handler. */
async function consuming(bench: ConsumeBench) {
  const started = bench.backbone()
  applyCounted(started.backbone, { topic })
  await started.backbone.start({ run: ['consume'] })
  return started
}

describe('an effect', () => {
  test('is made once, however often its message is sent', async () => {
    const bench = await ConsumeBench.open(2)
    for (const key of ['a', 'b', 'a', 'b']) await bench.publish(key)
    await bench.sendAgain()
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect((await bench.effects()).toSorted()).toEqual(['a1', 'a2', 'b1', 'b2'])
    expect(witness.count('delivery.duplicate')).toBe(4)
  })

  test('is made in each group that subscribed', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    applyCounted(backbone, { topic })
    backbone.group('judge.audit').subscribe(Counted, async ({ data }, { tx }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [`audit ${data.key}`, data.version])
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()
    await bench.settled('judge.audit')

    expect((await bench.effects()).toSorted()).toEqual(['a1', 'audit a1'])
  })

  test('is made by whoever holds the partition: the former holder is fenced', async () => {
    const bench = await ConsumeBench.open()
    const gate = Promise.withResolvers<void>()
    const { backbone, witness } = bench.backbone()
    let runs = 0
    backbone.subscribe(Counted, async ({ data }, { tx }) => {
      if (++runs === 1) await gate.promise
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    })
    await bench.publish('a')
    // A transaction that took its position before the take-over and one after: only the row decides.
    await backbone.start({ run: ['consume'] })
    await until('the first run', () => runs === 1)

    const takenOver = bench.query("update trunkline.consumer_position set epoch = epoch + 1 where consumer_group = 'judge'")
    gate.resolve()
    await takenOver
    await bench.publish('a')
    await witness.saw('consumer.fenced')
    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toEqual(['a1', 'a2'])
  })

  test('moves with its partition when a second member joins and the first one leaves', async () => {
    const bench = await ConsumeBench.open(4)
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const first = await consuming(bench)
    for (const key of keys) await bench.publish(key)
    const second = await consuming(bench)
    for (const key of keys) await bench.publish(key)
    await first.backbone.stop()
    for (const key of keys) await bench.publish(key)

    await bench.settled()

    expect(await bench.violations()).toEqual([])
    expect(second.witness.count('delivery.applied')).toBeGreaterThan(0)
  })
})

/** The database is set back to an earlier state while its consumer lives: effects, inbox and position go together. */
async function restoredUnder(bench: ConsumeBench): Promise<void> {
  const count = async (): Promise<number> => (await bench.effects()).length
  for (let version = 1; version <= 4; version++) await bench.publish('a')
  await until('four effects', async () => (await count()) === 4)
  await bench.query(`
    with set_back as (update trunkline.consumer_position set next_offset = 2),
         forgotten as (delete from effect where version > 2)
    delete from trunkline.inbox where id in (select id from trunkline.inbox order by handled_at desc limit 2)`)
  await bench.publish('a')
  await bench.settled()
}

describe('a database that was set back under a living consumer', () => {
  test('is read on from where it stands now', async () => {
    const bench = await ConsumeBench.open()
    const { witness } = await consuming(bench)

    await restoredUnder(bench)

    expect(await bench.violations()).toEqual([])
    expect(await bench.effects()).toEqual(['a1', 'a2', 'a3', 'a4', 'a5'])
    expect(witness.count('consumer.fenced')).toBe(1)
  })

  test('loses effects without a fence, and the judge sees it', async () => {
    const bench = await ConsumeBench.open()
    const broken = bench.assembly({ positions: noFence })
    applyCounted(broken, { topic })
    await broken.start({ run: ['consume'] })

    await restoredUnder(bench)

    expect(await bench.violations()).toEqual([
      'lost: committed and neither applied nor kept: a#3',
      'lost: committed and neither applied nor kept: a#4',
    ])
  })
})

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
      { retry: { inline: 2 } },
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
      { timeout: '50ms', retry: { inline: 0 } },
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
      { retry: { inline: 0 } },
    )
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.failed')).toBe(0)
  })
})

describe('a record that is no message for us', () => {
  const envelope = (type: string, more: readonly (readonly [string, string])[] = []) => {
    const attributes = [['ce_specversion', '1.0'], ['ce_id', randomUUID()], ['ce_source', '/foreign'], ['ce_type', type], ...more] as const
    return attributes.map(([name, value]) => [name, Buffer.from(value)] as const)
  }

  test.for([
    ['foreign bytes without an envelope', { value: Buffer.from('hello') }, 'ENVELOPE_MISSING'],
    ['a megabyte of zeros', { value: Buffer.alloc(1_000_000) }, 'ENVELOPE_MISSING'],
    ['a null value without an envelope', { value: null }, 'ENVELOPE_MISSING'],
    ['a null value where data is needed', { value: null, headers: envelope('test.Counted.v1') }, 'VALUE_MISSING'],
    ['an unknown framing', { value: Buffer.from('{"a":1}'), headers: envelope('test.Counted.v1') }, 'FRAMING_UNKNOWN'],
    ['a type without a version', { value: Buffer.from('x'), headers: envelope('test.Counted') }, 'TYPE_INVALID'],
  ] as const)('%s: kept with its bytes, and nobody waits', async ([, record, code]) => {
    const bench = await ConsumeBench.open()
    const key = Buffer.from('a')
    await bench.append({ key, ...record })
    await bench.publish('a')
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 0, reason_code: code, keyed: false }])
    expect(await bench.query('select record_key, record_value from trunkline.parked_message')).toEqual([
      { record_key: key, record_value: record.value },
    ])
    expect(await bench.effects()).toEqual(['a1'])
    expect(witness.count('delivery.unreadable')).toBe(1)
    expect(await bench.query("select from trunkline.incident where kind = 'unreadable'")).toHaveLength(1)
  })

  test('a payload that ends too early is kept', async () => {
    const bench = await ConsumeBench.open()
    const { fingerprint = '' } = Counted.definition.versions[0] ?? {}
    const framed = Buffer.concat([Buffer.from([0xc3, 0x01]), Buffer.from(fingerprint, 'hex').reverse(), Buffer.from([0x08])])
    await bench.append({ key: Buffer.from('a'), value: framed, headers: envelope('test.Counted.v1') })
    await consuming(bench)

    await bench.settled()

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 0, reason_code: 'PAYLOAD_UNREADABLE', keyed: false }])
  })

  test('a type that nobody in the group handles is passed over, and told once', async () => {
    const bench = await ConsumeBench.open()
    await bench.append({ value: Buffer.from('x'), headers: envelope('test.Foreign.v1') })
    await bench.append({ value: Buffer.from('x'), headers: envelope('test.Foreign.v2') })
    await bench.publish('a')
    const { witness } = await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.parked()).toEqual([])
    expect(witness.count('delivery.skipped')).toBe(2)
    expect(await bench.query('select kind, subject from trunkline.incident')).toEqual([
      { kind: 'type_unhandled', subject: 'judge test.Foreign' },
    ])
  })

  test('a type that another build of the group handles waits for it, with its key', async () => {
    const bench = await ConsumeBench.open()
    await bench.query("insert into trunkline.group_handles (consumer_group, name) values ('judge', 'test.Foreign')")
    await bench.append({ key: Buffer.from('a'), value: Buffer.from('x'), headers: envelope('test.Foreign.v1') })
    await bench.publish('a')
    await bench.publish('b')
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['b1'])
    expect(await bench.parked()).toMatchObject([
      { state: 'waiting', attempts: 0, reason_code: 'HANDLER_ELSEWHERE' },
      { state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED' },
    ])
  })

  test('a handled type in a schema that is not known here parks its key', async () => {
    const bench = await ConsumeBench.open()
    const value = Buffer.concat([Buffer.from([0xc3, 0x01]), Buffer.alloc(8, 7), Buffer.from('x')])
    await bench.append({ key: Buffer.from('a'), value, headers: envelope('test.Counted.v2') })
    await bench.publish('a')
    await bench.publish('b')
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['b1'])
    expect(await bench.parked()).toMatchObject([
      { state: 'waiting', reason_code: 'SCHEMA_UNKNOWN' },
      { state: 'waiting', reason_code: 'KEY_PARKED' },
    ])
  })
})

describe('what a handler publishes', () => {
  test('carries the correlation of its message, and names it as its cause', async () => {
    const bench = await ConsumeBench.open()
    await bench.log.driver().admin.createTopics([{ name: 'out', partitions: 1, replicationFactor: 1 }])
    const Out = countedOn('out', 'test.Other')
    const { backbone } = bench.backbone()
    backbone.subscribe(Counted, async ({ data }, { tx, publish }) => {
      publish(Out({ key: data.key, version: 1 }), { attributes: { tenant: 'x' } })
      await backbone.publish(tx, Out({ key: data.key, version: 2 }))
    })
    await bench.publish('a')
    await backbone.start()

    await bench.settled()
    await until('both messages', async () => (await bench.headersOf('out')).length === 2)

    const [cause] = await bench.headersOf('t')
    const caused = { ce_correlationid: cause?.['ce_correlationid'], ce_causationid: cause?.['ce_id'] }
    expect(await bench.headersOf('out')).toMatchObject([{ ...caused, ce_tenant: 'x' }, caused])
  })

  test('goes away with a failure of the handler', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    backbone.subscribe(Counted, async (_, { publish }) => {
      publish(countedOn('out', 'test.Other')({ key: 'x', version: 1 }))
      throw new Error('after all, no')
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.query('select from trunkline.outbox')).toEqual([])
  })

  test('inside a savepoint goes away with the savepoint', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    const Out = countedOn('nowhere', 'test.Other')
    backbone.subscribe(Counted, async (_, { tx, publish }) => {
      publish(Out({ key: 'before', version: 1 }))
      await tx
        .savepoint(async () => {
          publish(Out({ key: 'inside', version: 1 }))
          throw new Error('undo this part')
        })
        .catch(() => undefined)
      publish(Out({ key: 'after', version: 1 }))
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    const rows = await bench.query('select key from trunkline.outbox order by seq')
    expect(rows.map(({ key }) => String(key))).toEqual(['before', 'after'])
  })

  test('is refused after the handler has returned, and so is its transaction', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    let publishLater: (() => void) | undefined
    let kept: Transaction | undefined
    backbone.subscribe(Counted, async (_, { tx, publish }) => {
      kept = tx
      publishLater = () => publish(Counted({ key: 'late', version: 1 }))
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(() => publishLater?.()).toThrow('The handler had already returned')
    await expect(kept?.query('select 1')).rejects.toMatchObject({ code: 'TRANSACTION_ENDED' })
    expect(await bench.query('select from trunkline.outbox')).toEqual([])
  })

  test.for(['sagaid', 'correlationid', 'id'])('may not set the reserved attribute %s', async (name) => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()

    const publishing = backbone.transaction((tx) =>
      backbone.publish(tx, Counted({ key: 'a', version: 1 }), { attributes: { [name]: 'x' } }),
    )

    await expect(publishing).rejects.toMatchObject({ code: 'ATTRIBUTE_RESERVED' })
    expect(await bench.query('select from trunkline.outbox')).toEqual([])
  })
})

describe('a command', () => {
  const { Asked, Answered } = askedOn('t', 'replies')

  test('is answered in the same commit', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    backbone.subscribe(Asked, async ({ data }) => Answered({ key: data.key }))
    await backbone.transaction((tx) => backbone.publish(tx, Asked({ key: 'a' })))
    await bench.log.driver().admin.createTopics([{ name: 'replies', partitions: 1, replicationFactor: 1 }])
    await backbone.start()

    await until('the reply', async () => (await bench.headersOf('replies')).length === 1)

    const [command] = await bench.headersOf('t')
    expect(await bench.headersOf('replies')).toMatchObject([{ ce_type: 'test.Answered.v1', ce_causationid: command?.['ce_id'] }])
  })

  test('without a reply is a dead letter', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    // What a handler in plain JavaScript can do.
    const forgetful: unknown = async () => undefined
    backbone.subscribe(Asked, forgetful as Parameters<typeof backbone.subscribe<typeof Asked>>[1])
    await backbone.transaction((tx) => backbone.publish(tx, Asked({ key: 'a' })))
    await backbone.start()
    await until('the dead letter', async () => (await bench.parked()).length === 1)

    expect(await bench.parked()).toEqual([{ state: 'dead', attempts: 1, reason_code: 'REPLY_MISSING', keyed: true }])
  })
})

describe('a position that the log no longer has', () => {
  test('above its end: told, and read again from the beginning', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a')
    await bench.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset) values ('judge', 't', 0, 1, 99)",
    )
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.query('select kind from trunkline.incident')).toEqual([{ kind: 'position_above_log_end' }])
  })

  test('of another topic of that name: told, and read again from the beginning', async () => {
    const bench = await ConsumeBench.open()
    await bench.publish('a')
    await bench.query(
      "insert into trunkline.consumer_position (consumer_group, topic, partition, epoch, next_offset, topic_id) values ('judge', 't', 0, 1, 1, 'another')",
    )
    await consuming(bench)

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.query('select kind from trunkline.incident')).toEqual([{ kind: 'topic_recreated' }])
  })
})

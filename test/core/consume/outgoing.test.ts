import { describe, expect, test } from 'vitest'
import type { Transaction } from '../../../src/core/database/database.ts'
import { askedOn, countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

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

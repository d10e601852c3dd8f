import { describe, expect, test } from 'vitest'
import { askedOn, countedOn } from '../../kit/contracts.ts'
import { until } from '../../kit/wait.ts'
import { ConsumeBench } from './consume-bench.ts'

const Counted = countedOn('t')

describe('a middleware', () => {
  test('runs around every handler in the order of registration, and sees the message and its group', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    const heard: string[] = []
    for (const name of ['outer', 'inner']) {
      backbone.use(async ({ message, group, attempt }, next) => {
        heard.push(`${name} ${group} ${message.type} ${JSON.stringify(message.data)} ${attempt}`)
        await next()
        heard.push(`${name} done`)
      })
    }
    backbone.subscribe(Counted, async () => void heard.push('handler'))
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    const seen = 'judge test.Counted.v1 {"key":"a","version":1,"note":""} 1'
    expect(heard).toEqual([`outer ${seen}`, `inner ${seen}`, 'handler', 'inner done', 'outer done'])
  })

  test('writes in the transaction of the handler: what it wrote goes away when the handler fails', async () => {
    const bench = await ConsumeBench.open()
    await bench.query('create table seen (id uuid)')
    const { backbone } = bench.backbone()
    backbone.use(async ({ tx, message }, next) => {
      await tx.query('insert into seen (id) values ($1)', [message.id])
      await next()
    })
    backbone.subscribe(Counted, async (_, { attempt }) => {
      if (attempt < 3) throw new Error('not yet')
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.query('select from seen')).toHaveLength(1)
  })

  test('fails the delivery by what it throws, and hears what the handler threw', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    const heard: unknown[] = []
    backbone.use(async ({ attempt }, next) => {
      if (attempt === 1) throw new Error('not before the second attempt')
      await next().catch((error: unknown) => {
        heard.push(error)
        throw error
      })
    })
    backbone.subscribe(Counted, async () => Promise.reject(new Error('never')), { retry: { inline: 1, delays: [] } })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(heard).toEqual([new Error('never')])
    expect(witness.count('delivery.failed')).toBe(2)
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 2 }])
  })

  test('that does not call next settles the message without its handler', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    const handled: number[] = []
    let seen = 0
    backbone.use(async (_, next) => (++seen === 1 ? undefined : await next()))
    backbone.subscribe(Counted, async ({ data }) => void handled.push(data.version))
    for (let version = 1; version <= 2; version++) await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(handled).toEqual([2])
    expect(await bench.parked()).toEqual([])
  })

  test('does not stand between a command and its reply', async () => {
    const bench = await ConsumeBench.open()
    const { Asked, Answered } = askedOn('t', 'answers')
    const { backbone } = bench.backbone()
    backbone.use(async (_, next) => await next())
    backbone.subscribe(Asked, async ({ data }) => Answered({ key: data.key }))
    await backbone.start()

    await backbone.transaction((tx) => backbone.publish(tx, Asked({ key: 'a' })))

    await bench.log.driver().admin.createTopics([{ name: 'answers', partitions: 1, replicationFactor: 1 }])
    const [reply] = await until('the reply', async () => (await bench.headersOf('answers')).length === 1 && bench.headersOf('answers'))
    expect(reply).toMatchObject({ ce_type: 'test.Answered.v1' })
  })

  test.each([
    ['calls next twice', 'NEXT_TWICE', async (next: () => Promise<void>) => await next().then(next)],
    ['returns while next still runs', 'NEXT_NOT_AWAITED', async (next: () => Promise<void>) => void next()],
  ])('that %s makes a dead letter at once, and leaves no effect', async (_, code, broken) => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    backbone.use((_, next) => broken(next))
    backbone.subscribe(Counted, async ({ data }, { tx }) => {
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual([])
    expect(await bench.parked()).toMatchObject([{ state: 'dead', attempts: 1, reason_code: expect.stringContaining(code) }])
  })

  test('has its place in the time of the handler', async () => {
    const bench = await ConsumeBench.open()
    const { backbone, witness } = bench.backbone()
    backbone.use(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))))
    backbone.subscribe(Counted, async () => undefined, { timeout: '20ms', retry: { inline: 0, delays: [] } })
    await bench.publish('a')
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(witness.all('delivery.failed')).toMatchObject([{ reason: expect.stringContaining('HANDLER_TIMEOUT') }])
  })

  test('cannot be registered after the start', async () => {
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    await backbone.start({ run: ['relay'] })

    expect(() => backbone.use(async (_, next) => await next())).toThrow(/use came after start\(\)/)
  })
})

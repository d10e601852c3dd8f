import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { ReserveStock, StockReserved } from '../../../examples/order-fulfilment/contracts/stock.ts'
import { createLogger } from '../../../src/adapters/pino/logger.ts'
import type { LogConsumerListener } from '../../../src/core/broker/log-consumer.ts'
import { Pause } from '../../../src/core/consume/pause.ts'
import { saga } from '../../../src/core/saga/definition.ts'
import { systemClock } from '../../../src/foundation/clock.ts'
import { StuckError } from '../../../src/foundation/errors.ts'
import { newToken } from '../../../src/foundation/ids.ts'
import { buildGroups } from '../../../src/wiring/consume.ts'
import { parkingWith } from '../../kit/parking-with.ts'
import { until } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { fulfilment, head, order } from '../saga/given.ts'
import { ConsumeBench, consuming } from './consume-bench.ts'

test('an incident is told when it is committed, not when it is rolled back', async () => {
  const bench = await ConsumeBench.open()
  // The first COMMIT that holds an incident fails.
  await bench.query('create sequence commits')
  await bench.query(`
    create function refuse_first() returns trigger language plpgsql as $$
    begin
      if nextval('commits') = 1 then raise exception using errcode = '40001'; end if;
      return null;
    end $$`)
  await bench.query(`
    create constraint trigger refuse_first after insert on trunkline.incident
    deferrable initially deferred for each row execute function refuse_first()`)
  await bench.append({ value: Buffer.from('no envelope') })
  const { witness } = await consuming(bench)

  await bench.settled()
  await witness.saw('incident.recorded')

  expect(await bench.query('select last_value::int as commits from commits')).toEqual([{ commits: 2 }])
  expect(witness.all('incident.recorded').map(({ kind }) => kind)).toEqual(['unreadable'])
})

test('a partition that the log cannot read on is told of, with what the driver says', async () => {
  const bench = await ConsumeBench.open()
  const listening = Promise.withResolvers<LogConsumerListener>()
  const assembly = bench.assembly({
    consumers: (real) => ({
      consumer: (group, topics) => {
        const consumer = real.consumer(group, topics)
        return {
          get joined() {
            return consumer.joined
          },
          start: (listener, signal) => {
            listening.resolve(listener)
            return consumer.start(listener, signal)
          },
          stop: (deadlineMs) => consumer.stop(deadlineMs),
        }
      },
    }),
  })
  applyCounted(assembly, { topic: 't' })
  await assembly.start({ run: ['consume'] })
  const listener = await listening.promise

  await listener.onPartitionStuck?.({ topic: 't', partition: 0 }, new StuckError('BATCH_DAMAGED', 'The batch at 7 is damaged.'))

  expect(await bench.query('select kind, subject, message from trunkline.incident')).toEqual([
    { kind: 'partition_stuck', subject: 'judge t/0', message: 'The batch at 7 is damaged.' },
  ])
})

test('neither the record nor the text of an error is in an incident or a diagnostic; the row has both', async () => {
  const bench = await ConsumeBench.open()
  const { backbone, witness } = bench.backbone()
  const told: string[] = []
  backbone.diagnostics.on(({ name, fields }) => told.push(`${name} ${Object.values(fields).map(String).join(' ')}`))
  applyCounted(
    { subscribe: (contract, _, options) => backbone.subscribe(contract, () => Promise.reject(new Error('secret text')), options) },
    { topic: 't' },
  )
  const headers = [
    ['ce_specversion', '1.0'],
    ['ce_id', randomUUID()],
    ['ce_source', '/f'],
    ['ce_type', 'test.Counted.v1'],
    ['content-type', 'application/cloudevents; secret header'],
  ] as const
  await bench.append({ value: Buffer.from('x'), headers: headers.map(([name, value]) => [name, Buffer.from(value)]) })
  await bench.publish('a')
  await backbone.start({ run: ['consume'] })

  await bench.settled()
  await witness.saw('incident.recorded', () => true, 2)

  const reasons = (await bench.query('select reason from trunkline.parked_message order by seq')).map(({ reason }) => String(reason))
  expect(reasons).toEqual([expect.stringContaining('secret header'), 'secret text'])
  const incidents = await bench.query('select subject, message, details from trunkline.incident')
  expect(incidents).toHaveLength(2)
  expect(JSON.stringify([incidents, told])).not.toContain('secret')
})

test('what a driver says of a batch that it could not read is in the incident', async () => {
  const bench = await ConsumeBench.open()
  const { diagnostics, database, log, options } = bench.assembly()
  const parts = {
    clock: systemClock,
    logger: createLogger('judge', 'silent'),
    middlewares: [],
    pause: new Pause(),
    processId: newToken(),
    diagnostics,
    ...database,
    ...log,
  }
  const settings = { parking: options.parking, stopDeadlineMs: 0, maxConnections: 4, onFailure: () => undefined }
  const [group] = buildGroups(
    [{ group: 'judge', subscriptions: new Map(), start: { from: 'earliest', onGap: 'earliest' } }],
    parts,
    settings,
  )
  const unreadable = { code: 'KAFKA_CODEC_UNKNOWN', reason: 'It is compressed with snappy. Let its producer use zstd.' }
  const record = { offset: 0n, key: null, value: Buffer.from('batch'), headers: [], timestampMs: 0, unreadable }
  await group?.consumer.onAssigned({ topic: 't', partition: 0 }, { earliest: 0n, latest: 1n, topicId: null })

  const next = await group?.consumer.onBatch({ topic: 't', partition: 0, records: [record] }, new AbortController().signal)

  expect(next).toBe(1n)
  expect(await bench.query('select record_value from trunkline.parked_message')).toEqual([{ record_value: record.value }])
  expect(await bench.query('select message from trunkline.incident')).toEqual([
    { message: expect.stringContaining('(KAFKA_CODEC_UNKNOWN): It is compressed with snappy. Let its producer use zstd. Its bytes') },
  ])
})

test('an id is claimed before a parked key is locked, whatever becomes of the record', async () => {
  const bench = await ConsumeBench.open()
  await bench.query("insert into trunkline.group_handles (consumer_group, name) values ('judge', 'test.Elsewhere')")
  const order: string[] = []
  const assembly = bench.assembly({
    inbox: (real) => ({
      claim: (tx, group, claims) => {
        if (claims.length > 0) order.push('inbox')
        return real.claim(tx, group, claims)
      },
    }),
    parking: (real) =>
      parkingWith(real, {
        lockParked: (tx, place, keys) => {
          order.push('parked key')
          return real.lockParked(tx, place, keys)
        },
        park: (tx, messages) => {
          order.push('parked key')
          return real.park(tx, messages)
        },
      }),
  })
  applyCounted(assembly, { topic: 't' })
  const elsewhere = [
    ['ce_specversion', '1.0'],
    ['ce_id', randomUUID()],
    ['ce_source', '/f'],
    ['ce_type', 'test.Elsewhere.v1'],
  ] as const
  await bench.append({
    key: Buffer.from('a'),
    value: Buffer.from('x'),
    headers: elsewhere.map(([name, value]) => [name, Buffer.from(value)]),
  })
  await assembly.start({ run: ['consume'] })

  await bench.settled()

  expect(await bench.parked()).toMatchObject([{ reason_code: 'HANDLER_ELSEWHERE' }])
  // Looked for, and then locked again by whoever keeps the message.
  expect(order).toEqual(['inbox', 'parked key', 'parked key'])
})

test('a reply to an instance of a version that is not here waits, told once, and goes on where the version is', async () => {
  const bench = await ConsumeBench.open()
  const topics = ['stock.commands', 'payments.commands', 'orders', 'stock.replies']
  await bench.log.driver().admin.createTopics(topics.map((name) => ({ name, partitions: 1, replicationFactor: 1 })))
  const next = saga('order-fulfilment', { ...head, version: 2 }).step('reserve', {
    command: (s) => ReserveStock({ orderId: s.orderId, sku: s.sku, quantity: s.quantity }),
    compensation: 'none',
  })
  const old = bench.backbone().backbone
  old.saga(fulfilment)
  await old.transaction((tx) => old.startSaga(tx, fulfilment, order, { id: order.orderId }))
  await old.stop()

  const young = bench.backbone()
  young.backbone.saga(next)
  young.backbone.subscribe(ReserveStock, async ({ data }) => StockReserved({ orderId: data.orderId }))
  await young.backbone.start()
  await young.witness.saw('consumer.interrupted', ({ group }) => group === 'judge.order-fulfilment', 3)
  await young.backbone.stop()

  expect(await bench.parked()).toEqual([])
  expect(young.witness.count('delivery.failed')).toBe(0)
  expect(await bench.query('select kind, subject from trunkline.incident')).toEqual([
    { kind: 'saga_definition_missing', subject: 'judge.order-fulfilment order-fulfilment 1' },
  ])

  const both = bench.backbone().backbone
  both.saga(fulfilment)
  both.saga(next)
  await both.start({ run: ['consume'] })
  await until('the second step', async () => (await bench.query('select from trunkline.saga_instance where version = 2')).length === 1)
})

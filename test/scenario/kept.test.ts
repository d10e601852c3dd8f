import { Kafka, logLevel } from 'kafkajs'
import { describe, expect } from 'vitest'
import { beginRun, onKafka } from '../kit/scenario.ts'

describe.concurrent('G6, G7, G9: what cannot be processed is kept, and stops nobody else', () => {
  onKafka('a poison message waits with the later ones of its key; its neighbours flow', { timeout: 60_000 }, async () => {
    // One partition, so that the neighbours stand behind it in the same log.
    await using run = await beginRun({ partitions: 1 })
    await run.publishAll(['a', 'b', 'c'], 3)
    await run.publish('b', 'poison')
    await run.publishAll(['a', 'b', 'c'], 4)
    run.spawn({ run: ['relay', 'consume'] })

    await run.drained()
    const verdict = await run.judge()
    const queue = await run.query('select state, attempts, reason_code from trunkline.parked_message order by seq')
    const incidents = await run.query("select kind from trunkline.incident where kind = 'dead_letter'")

    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject({ committed: 22, effects: 17, kept: 5 })
    expect(queue).toEqual([
      { state: 'dead', attempts: 3, reason_code: 'HANDLER_FAILED' },
      ...Array.from({ length: 4 }, () => ({ state: 'waiting', attempts: 0, reason_code: 'KEY_PARKED' })),
    ])
    expect(incidents).toHaveLength(1)
  })

  onKafka('bytes that are no message become a dead letter, byte for byte', { timeout: 60_000 }, async () => {
    await using run = await beginRun({ partitions: 1 })
    const { topic, brokers } = run.servers
    const foreign = [
      { key: Buffer.from('a'), value: Buffer.from('{"not":"avro"}'), headers: { note: 'hello' } },
      { key: null, value: Buffer.alloc(700_000), headers: {} },
      { key: Buffer.from([0xff, 0x00]), value: null, headers: { ce_id: 'x' } },
    ]
    const producer = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).producer()
    await producer.connect()
    for (const record of foreign) await producer.send({ topic, messages: [record] })
    await producer.disconnect()
    await run.publishAll(['a', 'b'], 3)
    run.spawn({ run: ['relay', 'consume'] })

    await run.drained()
    const verdict = await run.judge()
    const kept = await run.query(
      'select record_offset::int as at, record_key, record_value, state, key_hash from trunkline.parked_message order by record_offset',
    )

    expect(verdict.violations).toEqual([])
    expect(verdict.counts.effects).toBe(6)
    expect(kept.map(({ record_key, record_value }) => ({ key: record_key, value: record_value }))).toEqual(
      foreign.map(({ key, value }) => ({ key, value })),
    )
    // None of them holds a key: messages of key "a" went on.
    expect(kept.every(({ state, key_hash }) => state === 'dead' && key_hash === null)).toBe(true)
    expect(await run.query("select 1 from trunkline.incident where kind = 'unreadable'")).toHaveLength(3)
  })

  onKafka('a handler that catches its SQL error loses nothing: its message is kept', { timeout: 60_000 }, async () => {
    await using run = await beginRun({ partitions: 1 })
    await run.publish('a')
    await run.publish('b', 'catches its SQL error')
    await run.publish('a')
    run.spawn({ run: ['relay', 'consume'] })

    await run.drained()
    const verdict = await run.judge()

    expect(verdict.violations).toEqual([])
    expect(verdict.counts).toMatchObject({ committed: 3, effects: 2, kept: 1 })
  })
})

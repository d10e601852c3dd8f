import { randomBytes, randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { ParkedMessage, ParkingStore } from '../../../src/core/consume/parking-store.ts'
import { encodePayload } from '../../../src/core/contract/codec.ts'
import type { Database, Transaction } from '../../../src/core/database/database.ts'
import { toHeaders } from '../../../src/core/envelope/headers.ts'
import { PermanentError } from '../../../src/foundation/errors.ts'
import { countedOn } from '../../kit/contracts.ts'
import { parkingWith } from '../../kit/parking-with.ts'
import { Witness } from '../../kit/wait.ts'
import { applyCounted } from '../../kit/workload.ts'
import { ConsumeBench, type ForeignRecord } from './consume-bench.ts'

const Counted = countedOn('t')

/** A valid message as a producer of another house could write it. */
function foreign({ note = '', key = Buffer.from('a') } = {}): ForeignRecord {
  const data = encodePayload(Counted.definition, { key: 'a', version: 1, note })
  const headers = toHeaders({
    specversion: '1.0',
    id: randomUUID(),
    source: '/foreign',
    type: 'test.Counted.v1',
    time: new Date(0).toISOString(),
    datacontenttype: 'application/avro',
    subject: null,
    correlationid: 'c',
    causationid: null,
    traceparent: null,
    tracestate: null,
    partitionkey: null,
    extensions: {},
    data,
  })
  return { key, value: data, headers }
}

/** One record that must be kept, then one that must be applied. */
async function keptAndPassed(bad: ForeignRecord, fail: (note: string) => unknown = () => new Error('no')) {
  const bench = await ConsumeBench.open()
  const { backbone, witness } = bench.backbone()
  let runs = 0
  backbone.subscribe(
    Counted,
    async ({ data }, { tx }) => {
      if (data.note !== '') {
        runs++
        throw fail(data.note)
      }
      await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    },
    { retry: { inline: 0, delays: [] } },
  )
  await bench.append(bad)
  await bench.append(foreign({ key: Buffer.from('neighbour') }))
  await backbone.start({ run: ['consume'] })
  await bench.settled()
  expect(await bench.effects()).toEqual(['a1'])
  expect(witness.count('consumer.interrupted')).toBe(0)
  return { bench, witness, runs, kept: await bench.query('select * from trunkline.parked_message') }
}

describe('a message is kept, whatever it looks like and whatever its handler threw', () => {
  test('an error with a NUL character in its text and in its code', async () => {
    const { kept, runs } = await keptAndPassed(foreign({ note: 'bad' }), () => new PermanentError('BAD\0SKU', 'bad \0 sku'))

    expect(runs).toBe(1)
    expect(kept).toMatchObject([{ state: 'dead', reason_code: 'PermanentError', reason: 'bad \uFFFD sku' }])
  })

  test('an error text of a megabyte, cut in the middle of a character', async () => {
    const { kept } = await keptAndPassed(foreign({ note: 'bad' }), () => new Error(`x${'\u{1F600}'.repeat(500_000)}`))

    expect(kept).toHaveLength(1)
    expect(String(kept[0]?.['reason']).length).toBeLessThanOrEqual(2_000)
  })

  test.for([
    ['something without a prototype', () => Object.create(null)],
    [
      'an error whose text throws',
      () =>
        Object.defineProperty(new Error('x'), 'message', {
          get: () => {
            throw new Error('no text')
          },
        }),
    ],
    [
      'something that cannot even be looked at',
      () => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      },
    ],
  ] as const)('thrown: %s', async ([, thrown]) => {
    const { kept, runs } = await keptAndPassed(foreign({ note: 'bad' }), thrown)

    expect(runs).toBe(1)
    expect(kept).toMatchObject([{ state: 'dead', reason_code: 'HANDLER_FAILED' }])
  })

  test('a header name of 70 000 bytes', async () => {
    const { kept } = await keptAndPassed({ value: Buffer.from('x'), headers: [['h'.repeat(70_000), Buffer.from('v')]] })

    expect(kept).toMatchObject([{ state: 'dead', reason_code: 'HEADERS_TOO_LARGE' }])
  })

  test.for([-9e15, 2 ** 63, -(2 ** 63)])('a record time of %d ms', async (timestampMs) => {
    const { kept } = await keptAndPassed({ value: Buffer.from('x'), timestampMs })

    expect(kept).toHaveLength(1)
    expect(Math.sign(Number(kept[0]?.['record_timestamp_ms']))).toBe(Math.sign(timestampMs))
  })

  test('a key of 6 000 bytes that do not compress: its later messages wait behind it', async () => {
    const key = randomBytes(6_000)
    const bench = await ConsumeBench.open()
    const { backbone } = bench.backbone()
    applyCounted(backbone, { topic: 't' })
    await bench.append(foreign({ note: 'poison', key }))
    await bench.append(foreign({ key }))
    await bench.append(foreign())
    await backbone.start({ run: ['consume'] })

    await bench.settled()

    expect(await bench.effects()).toEqual(['a1'])
    expect(await bench.parked()).toMatchObject([
      { state: 'dead', keyed: true },
      { state: 'waiting', keyed: true },
    ])
    expect(await bench.query('select key from trunkline.parked_key')).toEqual([{ key }])
  })
})

/** Refuses by a statement that fails, as PostgreSQL refuses a datum that nobody foresaw. */
function refusing(refuses: (message: ParkedMessage) => boolean) {
  return (real: ParkingStore<Transaction>, database: Database<Transaction>): ParkingStore<Transaction> =>
    parkingWith(real, {
      park: async (tx, messages) => {
        if (messages.some(refuses)) await database.queryable(tx).query("select 'unforeseen'::integer")
        await real.park(tx, messages)
      },
    })
}

describe('a message that cannot be kept as it is', () => {
  const poison = { note: 'poison' }

  async function kept(parking: ReturnType<typeof refusing>) {
    const bench = await ConsumeBench.open()
    const assembly = bench.assembly({ parking })
    const witness = new Witness(assembly.diagnostics)
    applyCounted(assembly, { topic: 't', retry: { inline: 0, delays: [] } })
    await bench.append(foreign(poison))
    await bench.append(foreign())
    await bench.append({ value: Buffer.from('no envelope'), headers: [['note', Buffer.from('hello')]] })
    await bench.append(foreign({ key: Buffer.from('neighbour') }))
    await assembly.start({ run: ['consume'] })
    await bench.settled()
    return { bench, witness }
  }

  test('is kept without its reason', async () => {
    const { bench, witness } = await kept(refusing(({ reason }) => reason.text !== ''))

    expect(await bench.effects()).toEqual(['a1'])
    expect(
      await bench.query(
        'select state, reason_code, reason, octet_length(record_headers) > 0 as headers from trunkline.parked_message order by seq',
      ),
    ).toEqual([
      { state: 'dead', reason_code: 'HANDLER_FAILED', reason: '', headers: true },
      { state: 'waiting', reason_code: 'KEY_PARKED', reason: '', headers: true },
      { state: 'dead', reason_code: 'ENVELOPE_MISSING', reason: '', headers: true },
    ])
    expect(await bench.query('select kind from trunkline.incident order by seq')).toEqual([
      { kind: 'dead_letter' },
      { kind: 'kept_in_part' },
      { kind: 'kept_in_part' },
      { kind: 'unreadable' },
      { kind: 'kept_in_part' },
    ])
    expect(witness.count('consumer.interrupted')).toBe(0)
  })

  test('is kept with its key and value alone, if nothing more can be', async () => {
    const { bench } = await kept(refusing(({ record }) => record.headers.length > 0))

    expect(await bench.effects()).toEqual(['a1'])
    expect(
      await bench.query('select state, record_value is not null as value, record_headers from trunkline.parked_message order by seq'),
    ).toEqual([
      { state: 'dead', value: true, record_headers: Buffer.of() },
      { state: 'waiting', value: true, record_headers: Buffer.of() },
      { state: 'dead', value: true, record_headers: Buffer.of() },
    ])
  })
})

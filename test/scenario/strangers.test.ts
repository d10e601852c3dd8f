import { COMPATIBILITY, SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import { CloudEvent, Kafka } from 'cloudevents'
import { expect, onTestFinished, test } from 'vitest'
import type { ConsumedRecord } from '../../src/core/broker/log-consumer.ts'
import type { HeaderPair } from '../../src/core/broker/log-producer.ts'
import { versionOf } from '../../src/core/contract/conform.ts'
import { type Backbone, createBackbone, MemoryLog, type Message } from '../../src/index.ts'
import { EntryBooked, type EntryBookedInput } from '../core/contract/generated/ledger.ts'
import { createTestDatabase } from '../kit/database.ts'
import { MemoryReader } from '../kit/memory-reader.ts'
import { RegistryFake } from '../kit/registry-fake.ts'
import { until } from '../kit/wait.ts'

/**
 * Programs that never heard of us, by other people's packages: `cloudevents`, the SDK of CloudEvents for JavaScript, and
 * `@kafkajs/confluent-schema-registry`, a serializer of Confluent's framing that knows no logical types.
 */
const entry: EntryBookedInput = {
  id: 'e-1',
  entry: '0198f000-0000-7000-8000-000000000001',
  net: '12.50',
  gross: '-14.875',
  bookedAt: new Date('2026-01-31T12:00:00.123Z'),
  seenAt: '2026-01-31T12:00:00.123456Z',
  day: '2026-01-31',
  serial: 2n ** 52n,
  lines: ['a', 'ö'],
  labels: { toString: 1 },
  proof: Uint8Array.of(0, 255),
  when: 'later',
}
/** The same as the schema's own types have it, without logical ones. */
const wire = {
  id: 'e-1',
  entry: '0198f000-0000-7000-8000-000000000001',
  net: Buffer.from([0x04, 0xe2]),
  gross: Buffer.from([0xff, 0xff, 0xff, 0xff, 0xc5, 0xe5]),
  tax: null,
  bookedAt: 1_769_860_800_123,
  seenAt: 1_769_860_800_123_456,
  day: 20_484,
  serial: 2 ** 52,
  quantity: 1,
  rate: 1,
  holder: 'nobody',
  currency: 'EUR',
  lines: ['a', 'ö'],
  labels: { toString: 1 },
  proof: Buffer.from([0, 255]),
  seal: Buffer.from([1, 255]),
  when: 'later',
}

/** A service that books entries and hears of them, on a log that strangers read and write. */
class Ledger {
  readonly #log = new MemoryLog()
  readonly backbone: Backbone
  readonly heard: Message[] = []

  private constructor(databaseUrl: string, registryUrl?: string) {
    this.backbone = createBackbone({
      service: 'ledger',
      kafka: { driver: 'memory', log: this.#log },
      database: { connectionString: databaseUrl },
      ...(registryUrl === undefined ? {} : { registry: { url: registryUrl } }),
      logger: false,
    })
    this.backbone.subscribe(EntryBooked, async (message) => void this.heard.push(message))
  }

  static async open(registryUrl?: string): Promise<Ledger> {
    const ledger = new Ledger((await createTestDatabase()).url, registryUrl)
    await ledger.#log.driver().admin.createTopics([{ name: 'ledger', partitions: 1, replicationFactor: 1 }])
    onTestFinished(() => ledger.backbone.stop())
    await ledger.backbone.start()
    return ledger
  }

  /** Books an entry. @returns the record that stands on the topic for it */
  async book(): Promise<ConsumedRecord> {
    const { backbone } = this
    await backbone.transaction(async (tx) => backbone.publish(tx, EntryBooked(entry), { attributes: { tenant: 'eu' } }))
    await until('the entry', () => this.heard.length === 1)
    const reader = new MemoryReader(this.#log)
    onTestFinished(() => reader.stop())
    const [record] = (await reader.read('ledger')).flat()
    if (record === undefined) throw new Error('Nothing stands on the topic.')
    return record
  }

  /** Writes what a stranger made. @returns what the handler got */
  async hear(value: Buffer, headers: Readonly<Record<string, unknown>> = {}, key: string | null = null): Promise<Message> {
    const pairs = Object.entries(headers).map(([name, text]): HeaderPair => [name, Buffer.from(String(text))])
    const record = { key: key === null ? null : Buffer.from(key), value, headers: pairs, timestampMs: Date.parse('2026-02-01T00:00:00Z') }
    await this.#log.driver().producer.append({ topic: 'ledger', partition: 0 }, [record])
    await until('the message', () => this.heard.length === 1)
    const [message] = this.heard
    if (message === undefined) throw new Error('Nothing was heard.')
    return message
  }
}

async function registry(): Promise<{ readonly url: string; readonly stranger: SchemaRegistry }> {
  const fake = await RegistryFake.start()
  onTestFinished(() => fake.stop())
  return { url: fake.url, stranger: new SchemaRegistry({ host: fake.url }) }
}

/** As a client of Kafka for JavaScript hands it to an SDK whose headers are texts. */
function asMessage({ headers, value, key }: ConsumedRecord) {
  const texts = Object.fromEntries(headers.map(([name, bytes]) => [name, bytes.toString()]))
  return { headers: texts, value, key: key?.toString(), body: value }
}

test("the SDK of CloudEvents reads what we write, and finds every attribute and the value's bytes", async () => {
  const ledger = await Ledger.open()
  const record = await ledger.book()
  const [message] = ledger.heard

  const event = Kafka.toEvent<Buffer>(asMessage(record))

  expect(event).toBeInstanceOf(CloudEvent)
  if (!(event instanceof CloudEvent)) return
  expect(event.validate()).toBe(true)
  expect(event).toMatchObject({
    id: message?.id,
    source: '/ledger',
    type: 'shop.ledger.EntryBooked.v1',
    specversion: '1.0',
    datacontenttype: 'application/avro',
    time: message?.time.toISOString(),
    correlationid: message?.correlationId,
    tenant: 'eu',
    partitionkey: 'e-1',
  })
  expect(event.data).toEqual(record.value)
})

test('a serializer of Confluent reads what we write, by the id that our service registered', async () => {
  const { url, stranger } = await registry()
  const record = await (await Ledger.open(url)).book()

  const data: unknown = await stranger.decode(record.value ?? Buffer.alloc(0))

  expect({ ...(data as object) }).toEqual(wire)
})

test('we read the structured mode of the SDK', async () => {
  const ledger = await Ledger.open()
  const json = { ...entry, serial: String(entry.serial), proof: Buffer.from([0, 255]).toString('base64') }
  const event = new CloudEvent({ source: '/bank', type: 'shop.ledger.EntryBooked.v1', data: json, tenant: 'eu', partitionkey: 'e-1' })
  const { headers, value } = Kafka.structured(event)

  const message = await ledger.hear(Buffer.from(String(value)), headers, 'e-1')

  expect(message).toMatchObject({ id: event.id, source: '/bank', type: event.type, key: 'e-1', attributes: { tenant: 'eu' } })
  expect(message.time.toISOString()).toBe(event.time)
  expect(message.data).toEqual(EntryBooked(entry).data)
})

test('we read the binary mode of the SDK, with JSON and with Avro', async () => {
  const [withJson, withAvro] = [await Ledger.open(), await Ledger.open()]
  const json = { ...entry, serial: String(entry.serial), proof: Buffer.from([0, 255]).toString('base64') }
  const attributes = { source: '/bank', type: 'shop.ledger.EntryBooked.v1' }
  const avro = (await (await Ledger.open()).book()).value ?? Buffer.alloc(0)
  const events = [
    Kafka.binary(new CloudEvent({ ...attributes, datacontenttype: 'application/json', data: JSON.stringify(json) })),
    Kafka.binary(new CloudEvent({ ...attributes, datacontenttype: 'application/avro', data: avro })),
  ] as const

  const first = await withJson.hear(Buffer.from(String(events[0].value)), events[0].headers)
  const second = await withAvro.hear(Buffer.from(events[1].value as Buffer), events[1].headers)

  expect(first.data).toEqual(EntryBooked(entry).data)
  expect({ ...(second.data as object) }).toEqual(EntryBooked(entry).data)
})

test('we read what a serializer of Confluent writes, which knows no CloudEvents', async () => {
  const { url, stranger } = await registry()
  const ledger = await Ledger.open(url)
  const schema = JSON.stringify(versionOf(EntryBooked.definition).schema)
  const { id } = await stranger.register({ type: SchemaType.AVRO, schema }, { subject: 'ledger-value', compatibility: COMPATIBILITY.NONE })

  const message = await ledger.hear(await stranger.encode(id, wire), {}, 'e-1')

  expect(message).toMatchObject({
    id: 'ledger/0/0',
    source: '/topics/ledger',
    type: 'shop.ledger.EntryBooked.v1',
    key: 'e-1',
    time: new Date('2026-02-01T00:00:00Z'),
  })
  expect({ ...(message.data as object) }).toEqual(EntryBooked(entry).data)
})

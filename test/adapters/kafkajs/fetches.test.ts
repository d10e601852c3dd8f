import { beforeEach, expect, test } from 'vitest'
import { Fetches } from '../../../src/adapters/kafkajs/fetches.ts'
import { type ConnectionPool, loadKafkajs, type ProtocolRequest } from '../../../src/adapters/kafkajs/internals.ts'
import { encodeFetch } from '../../../src/adapters/wire/fetch-request.ts'
import { decodeFetch } from '../../../src/adapters/wire/fetch-response.ts'
import { numbered } from '../../conformance/log-subject.ts'
import { until } from '../../kit/wait.ts'
import { batchOf } from './records.ts'
import { WireWriter } from './wire.ts'

const { parseFetch } = loadKafkajs()

interface Answer {
  readonly partition: number
  readonly errorCode?: number
  readonly records?: Buffer
  readonly end?: bigint
}

let heard: string[]
let refreshed: number
let cut: number
let fetches: Fetches
let isReadingAll: boolean
/** How long each fetch was to wait at the broker. */
let waits: number[]

beforeEach(() => {
  heard = []
  refreshed = 0
  cut = 0
  isReadingAll = true
  waits = []
})

function replyOf(answers: readonly Answer[]): Buffer {
  return new WireWriter()
    .int32(0)
    .int16(0)
    .int32(0)
    .array(['orders'], (writer, topic) =>
      writer
        .text(topic)
        .array(answers, (each, { partition, errorCode = 0, records = Buffer.alloc(0), end = 9n }) =>
          each.int32(partition).int16(errorCode).int64(end).int64(end).int64(0n).int32(0).int32(-1).int32(records.length).raw(records),
        ),
    )
    .bytes()
}

/** A connection of kafkajs that gets these answers to its fetches. */
function hardened(...answers: readonly (readonly Answer[] | Promise<never>)[]) {
  fetches = new Fetches({
    parse: parseFetch,
    refreshLeaders: async () => {
      refreshed += 1
    },
  })
  fetches.listener = {
    get isReadingAll() {
      return isReadingAll
    },
    answered: ({ partition }, end) => heard.push(`${partition} ends at ${end}`),
    lost: ({ partition }, { code }) => heard.push(`${partition} ${code}`),
  }
  const left = [...answers]
  const socket = Object.assign(Object.create(null), { destroy: () => (cut += 1) })
  const pool: ConnectionPool = {
    pool: [Object.create(null), Object.assign(Object.create(null), { socket })],
    getConnectionByRequest: async () => Object.create(null),
    send: async <Reply>({ request, response }: ProtocolRequest<Reply>) => {
      waits.push((await request.encode()).buffer.readInt32BE(4))
      return await response.parse(await response.decode(replyOf((await left.shift()) ?? [])))
    },
  }
  fetches.harden(pool)
  return pool
}

async function fetched(pool: ConnectionPool): Promise<object> {
  const buffer = encodeFetch([], { waitMs: 250, bytesMax: 1, partitionBytesMax: 1 })
  const encoded = { buf: buffer, buffer }
  const request = { apiKey: 1, apiVersion: 11, apiName: 'Fetch', encode: async () => encoded }
  const reply = await pool.send({ request, response: { decode: decodeFetch, parse: parseFetch } })
  return Object(reply)
}

const two = batchOf(numbered(2))

test('hands kafkajs all records of a partition as one message, at the last of their offsets', async () => {
  const reply = await fetched(hardened([{ partition: 0, records: two }, { partition: 1 }]))

  expect(reply).toMatchObject({
    responses: [
      {
        topicName: 'orders',
        partitions: [{ partition: 0, messages: [{ offset: 1n, isControlRecord: false, records: { length: 2 } }] }],
      },
    ],
  })
  expect(heard).toEqual(['0 ends at 9', '1 ends at 9'])
})

test('an offset out of range is told at once, and kafkajs, which would go on at another place, does not hear of it', async () => {
  await expect(parseFetch(await decodeFetch(replyOf([{ partition: 0, errorCode: 1 }])))).rejects.toThrow('not within the range of offsets')

  const reply = await fetched(
    hardened([
      { partition: 0, errorCode: 1 },
      { partition: 1, records: two },
    ]),
  )

  expect(heard).toEqual(['0 POSITION_LOST', '1 ends at 9'])
  expect(reply).toMatchObject({ responses: [{ partitions: [{ partition: 1, messages: [{ records: { length: 2 } }] }] }] })
})

test.each([3, 5, 6, 74, 75])(
  'after a leader has moved (code %i) its neighbours are read and the leaders asked for, where kafkajs drops all and joins again',
  async (errorCode) => {
    await expect(
      parseFetch(
        await decodeFetch(
          replyOf([
            { partition: 0, errorCode },
            { partition: 1, records: two },
          ]),
        ),
      ),
    ).rejects.toMatchObject({ code: errorCode })

    const reply = await fetched(
      hardened([
        { partition: 0, errorCode },
        { partition: 1, records: two },
      ]),
    )

    expect(reply).toMatchObject({
      responses: [{ partitions: [{ partition: 1, messages: [{ records: { length: 2 } }] }] }],
    })
    expect([refreshed, heard]).toEqual([1, ['1 ends at 9']])
  },
)

test('errors that nobody here knows reach kafkajs as they are', async () => {
  await expect(fetched(hardened([{ partition: 0, errorCode: 29 }]))).rejects.toMatchObject({ type: 'TOPIC_AUTHORIZATION_FAILED' })
})

test('a batch with a wrong checksum is fetched three times more, each over a new connection, then the partition is stuck', async () => {
  const damaged = Buffer.from(two)
  damaged.writeUInt8(damaged.readUInt8(70) ^ 1, 70)
  const answers = Array.from({ length: 5 }, () => [{ partition: 0, records: damaged }])
  const pool = hardened(...answers)

  for (let fetch = 1; fetch <= 3; fetch++) await fetched(pool)
  const again = [cut, heard.length]
  for (let fetch = 4; fetch <= 5; fetch++) await fetched(pool)

  expect(again).toEqual([3, 0])
  expect([cut, heard]).toEqual([3, ['0 KAFKA_CHECKSUM_WRONG', '0 KAFKA_CHECKSUM_WRONG']])
})

test('waits longer at the broker while nothing comes, unless a partition is left out of the fetch', async () => {
  const pool = hardened([{ partition: 0 }], [{ partition: 0 }], [{ partition: 0, records: two }], [{ partition: 0 }], [{ partition: 0 }])

  for (let fetch = 1; fetch <= 4; fetch++) await fetched(pool)
  isReadingAll = false
  await fetched(pool)

  expect(waits).toEqual([250, 500, 500, 250, 250])
})

test('a fetch that waits is answered with nothing when the consumer is to end', async () => {
  const pool = hardened(new Promise(() => undefined))
  const waiting = fetched(pool)
  await until('the fetch', () => waits.length === 1)

  fetches.endWaiting()

  expect(await waiting).toMatchObject({ responses: [] })
})

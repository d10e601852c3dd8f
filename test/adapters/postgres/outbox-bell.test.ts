import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { OUTBOX_CHANNEL, PostgresOutboxBell } from '../../../src/adapters/postgres/outbox-bell.ts'
import { PostgresOutboxStoreFactory } from '../../../src/adapters/postgres/outbox-store.ts'
import { createBackbone } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { FaultProxy, type Wire } from '../../kit/fault-proxy.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { until } from '../../kit/wait.ts'

async function listener(url: string) {
  const client = new Client({ connectionString: url })
  await client.connect()
  onTestFinished(() => client.end())
  const heard: string[] = []
  client.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await client.query(`listen ${OUTBOX_CHANNEL}`)
  return heard
}

test('a thousand commits are a few calls, and the last one is not left out', async () => {
  const { url } = await createTestDatabase()
  const heard = await listener(url)
  const bell = new PostgresOutboxBell({ connectionString: url })
  onTestFinished(() => bell.close())

  for (let commit = 0; commit < 1_000; commit++) bell.ring()
  await until('a call', () => heard.length > 0)
  const many = heard.length
  bell.ring()
  await until('another', () => heard.length > many)

  expect(many).toBeLessThan(5)
})

test('a commit just before the end is called for: nobody else would do it', async () => {
  const { url } = await createTestDatabase()
  const heard = await listener(url)
  const bell = new PostgresOutboxBell({ connectionString: url })
  bell.ring()
  await until('a call', () => heard.length === 1)
  const late = new PostgresOutboxBell({ connectionString: url })

  // One waits for the pause to be over, of the other the first call is on its way.
  bell.ring()
  await bell.close()
  late.ring()
  late.ring()
  await late.close()

  await until('all calls', () => heard.length >= 4)
  expect(heard).toHaveLength(4)
})

test('a call that cannot be made is nobody’s trouble; later ones are made on a new connection', async () => {
  const { url } = await createTestDatabase()
  const heard = await listener(url)
  await using proxy = await new PostgresProxy(url).start()
  const bell = new PostgresOutboxBell({ connectionString: proxy.url })
  onTestFinished(() => bell.close())
  bell.ring()
  await until('the first call', () => heard.length === 1)

  proxy.cut()
  await until('a call on a new connection', () => {
    bell.ring()
    return heard.length > 1
  })

  expect(heard.every((said) => said === '')).toBe(true)
})

test('a process without a relay calls after the commit, and never for what was rolled back', async () => {
  const { url } = await createTestDatabase()
  const heard = await listener(url)
  const backbone = createBackbone({ service: 'web', kafka: { driver: 'memory' }, database: { connectionString: url }, logger: false })
  onTestFinished(() => backbone.stop())
  const publish = (fail: boolean) =>
    backbone.transaction(async (tx) => {
      await backbone.publish(tx, countedOn('t')({ key: 'a', version: 1 }))
      if (fail) throw new Error('roll back')
    })

  await publish(true).catch(() => undefined)
  await publish(false)
  await until('the call', () => heard.length > 0)

  expect(heard).toEqual([''])
})

/** What a pooler does with one connection: it tells a process number of its own; what was said comes at once, or with the next answer. */
class PoolerWire implements Wire {
  readonly #manner: 'at once' | 'with the next answer'
  #said: Buffer[] = []

  constructor(manner: 'at once' | 'with the next answer') {
    this.#manner = manner
  }

  toServer(bytes: Buffer): Buffer {
    return bytes
  }

  toClient(bytes: Buffer): Buffer {
    const passed: Buffer[] = []
    // The server sends whole messages, as little as is said here.
    for (let at = 0; at < bytes.length; ) {
      const message = Buffer.from(bytes.subarray(at, at + 1 + bytes.readUInt32BE(at + 1)))
      at += message.length
      if (message[0] === 'K'.charCodeAt(0)) message.writeInt32BE(1, 5)
      if (message[0] === 'A'.charCodeAt(0) && this.#manner === 'with the next answer') this.#said.push(message)
      else passed.push(...(passed.length === 0 ? this.#said.splice(0) : []), message)
    }
    return Buffer.concat(passed)
  }
}

test.each([
  ['with the next answer', false],
  ['at once', true],
] as const)('through a pooler that hands on what was said %s, calls are heard: %s', async (manner, heard) => {
  const { url } = await createTestDatabase()
  const through = new URL(url)
  await using proxy = await new FaultProxy({ host: through.hostname, port: Number(through.port) }, () => new PoolerWire(manner)).start()
  through.host = `127.0.0.1:${proxy.port}`
  const outboxes = new PostgresOutboxStoreFactory({ connectionString: through.href })
  const store = await outboxes.open({ onLost: () => undefined, onCalled: () => undefined, onVacant: () => undefined })
  onTestFinished(() => store.close())

  // On a busy machine an echo may be late.
  const hearing = heard ? until('an echo', () => store.hears()) : store.hears()
  let asks = true
  const asking = hearing.finally(() => {
    asks = false
  })
  // As a relay does that is in office, or stands by.
  while (asks) await store.acquire('one', 10_000)

  expect(await asking).toBe(heard)
})

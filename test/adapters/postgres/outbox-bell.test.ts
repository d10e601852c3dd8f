import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { OUTBOX_CHANNEL, PostgresOutboxBell } from '../../../src/adapters/postgres/outbox-bell.ts'
import { createBackbone } from '../../../src/index.ts'
import { countedOn } from '../../kit/contracts.ts'
import { createTestDatabase } from '../../kit/database.ts'
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

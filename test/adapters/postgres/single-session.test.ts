import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { SingleSession } from '../../../src/adapters/postgres/single-session.ts'
import { createTestDatabase } from '../../kit/database.ts'
import { PostgresProxy } from '../../kit/postgres-proxy.ts'
import { until } from '../../kit/wait.ts'

const CANCEL_REQUEST = 80_877_102

async function sessionAt(connectionString: string) {
  const lost: Error[] = []
  const session = await SingleSession.open({ connectionString }, 'judge', (reason) => lost.push(reason))
  onTestFinished(() => session.close(1_000))
  return { session, lost }
}

/** A way to the server on which a request to break off gets lost, or is late: its sender is not told that it arrived. */
async function withoutCancel(url: string): Promise<string> {
  const through = new URL(url)
  const target = { host: through.hostname, port: Number(through.port) }
  const server = createServer((client) => {
    client.on('error', () => undefined)
    client.once('data', (first) => {
      if (first.readUInt32BE(4) === CANCEL_REQUEST) return client.resetAndDestroy()
      const real = connect(target)
      real.on('error', () => undefined)
      real.write(first)
      client.pipe(real).pipe(client)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return through.href
}

/** The numbers that a statement answers with. */
async function numbers(session: SingleSession, text: string, withinMs: number): Promise<number[]> {
  const found: number[] = []
  await session.askWithin(text, [], withinMs, (row) => found.push(row.int4()))
  return found
}

test('breaks off a statement that takes too long, and answers the next', async () => {
  const { url } = await createTestDatabase()
  const { session, lost } = await sessionAt(url)

  const slow = await numbers(session, 'select 1 from pg_sleep(20)', 50).catch((error: unknown) => error)
  const next = await numbers(session, 'select 2', 5_000)

  expect(slow).toMatchObject({ name: 'TransientError', code: 'STATEMENT_TOO_SLOW' })
  expect(next).toEqual([2])
  expect(lost).toEqual([])
})

test('is not used again where nobody says that the request to break off was seen: it might meet the next statement', async () => {
  const { url } = await createTestDatabase()
  const { session, lost } = await sessionAt(await withoutCancel(url))

  const slow = await numbers(session, 'select 1 from pg_sleep(0.3)', 50).catch((error: unknown) => error)
  const next = await session.ask('select 2').catch((error: unknown) => error)

  expect(slow).toEqual([1])
  expect(next).toMatchObject({ name: 'TransientError', code: 'DATABASE_UNAVAILABLE' })
  await until('the loss', () => lost.length > 0)
})

test('a statement that was not answered in time is the last one: its rows are nobody else’s answer', async () => {
  const { url } = await createTestDatabase()
  const { session, lost } = await sessionAt(url)

  const late = await session.ask('select 1 from pg_sleep(0.2)', [], 50).catch((error: unknown) => error)
  const next = await numbers(session, 'select 2', 5_000).catch((error: unknown) => error)

  expect(late).toMatchObject({ name: 'TransientError', code: 'DATABASE_UNAVAILABLE' })
  expect(next).toMatchObject({ name: 'TransientError', code: 'DATABASE_UNAVAILABLE' })
  await until('the loss', () => lost.length > 0)
})

test('gives up what it asks at its start within seconds where nobody answers: what a stand-by asks next waits behind it', async () => {
  const { url } = await createTestDatabase()
  await using proxy = await new PostgresProxy(url).start()
  const [asking, listening] = [await sessionAt(proxy.url), await sessionAt(proxy.url)]

  proxy.blackHole()
  const begun = performance.now()
  const given = await Promise.all([
    asking.session.isDirect().catch((error: unknown) => error),
    listening.session.listen('said', () => undefined).catch((error: unknown) => error),
  ])

  expect(performance.now() - begun).toBeLessThan(20_000)
  for (const error of given) expect(error).toBeInstanceOf(Error)
  await until('both to be lost', () => asking.lost.length > 0 && listening.lost.length > 0)
})

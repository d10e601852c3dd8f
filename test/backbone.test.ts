import { createServer } from 'node:net'
import { Pool, type PoolConfig } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { OrderPlaced } from '../examples/order-fulfilment/contracts/orders.ts'
import { fulfilment } from '../examples/order-fulfilment/orders/fulfilment.ts'
import { type Backbone, type BackboneOptions, createBackbone, isTrunklineError, MemoryLog } from '../src/index.ts'
import { createEmptyDatabase, createTestDatabase } from './kit/database.ts'
import { until, Witness } from './kit/wait.ts'

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

const order = { orderId: 'o-1', sku: 'tea', quantity: 1, total: 5 }

function build(databaseUrl: string, options: Partial<BackboneOptions> = {}): Backbone {
  const backbone = createBackbone({
    service: 'shop',
    kafka: { driver: 'memory', log: new MemoryLog() },
    database: { connectionString: databaseUrl },
    logger: false,
    ...options,
  })
  cleanUps.push(() => backbone.stop())
  return backbone
}

async function database(): Promise<string> {
  const { url, drop } = await createTestDatabase()
  cleanUps.push(drop)
  return url
}

/**
 * A pool of the user's own. It counts as ended before its last connection has ended, and the server ends that one when it
 * drops the database: an error that nobody listens to would end the process.
 */
function usersPool(options: PoolConfig): Pool {
  const pool = new Pool(options)
  pool.on('error', () => undefined)
  cleanUps.push(() => pool.end())
  return pool
}

/** An address at which nobody listens. */
async function deadPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

test('an unknown option is refused when the backbone is made', () => {
  const options = { service: 'shop', kafka: { driver: 'memory' }, database: { connectionString: 'postgres://x/y' }, relais: {} } as const

  expect(() => createBackbone(options)).toThrow(/createBackbone: unknown option "relais" \(did you mean "relay"\?\)/)
})

test('publishing and transactions need no start', async () => {
  const backbone = build(await database())

  const pending = await backbone.transaction(async (tx) => {
    await backbone.publish(tx, OrderPlaced(order))
    return 'done'
  })

  expect(pending).toBe('done')
  const { rows } = await backbone.transaction((tx) => tx.query('select topic from trunkline.outbox'))
  expect(rows).toEqual([{ topic: 'orders' }])
})

test('publishing without a transaction is refused, and says how', async () => {
  const backbone = build(await database())

  // @ts-expect-error the type already refuses it
  await expect(backbone.publish(undefined, OrderPlaced(order))).rejects.toThrow(/needs the transaction.*backbone\.transaction/)
})

test('a database that was not migrated is named at start, with the mend', async () => {
  const { url, drop } = await createEmptyDatabase()
  cleanUps.push(drop)

  await expect(build(url).start()).rejects.toThrow(/version 0, this program needs \d+\. Run "npx trunkline migrate"/)
})

test('a database that is newer than the package is refused', async () => {
  const url = await database()
  await build(url).transaction((tx) => tx.query("insert into trunkline.migration (number, name, checksum) values (9999, 'later', 'x')"))

  await expect(build(url).start()).rejects.toThrow(/version 9999.*Upgrade the trunkline package/)
})

test('a database that does not answer is named with its address and without its password', async () => {
  const port = await deadPort()
  const backbone = build(`postgres://user:secret@127.0.0.1:${port}/shop`, { startTimeout: '300ms' })

  const failed = await backbone.start().catch((error: unknown) => error)

  expect(String(failed)).toContain(`127.0.0.1:${port}/shop`)
  expect(String(failed)).not.toContain('secret')
})

test('brokers that do not answer are named, and the service starts without them: it publishes, and is ready for that', async () => {
  const broker = `127.0.0.1:${await deadPort()}`
  const backbone = build(await database(), { kafka: { driver: 'kafkajs', brokers: [broker] }, startTimeout: '500ms' })
  backbone.subscribe(OrderPlaced, async () => undefined)
  const witness = new Witness(backbone.diagnostics)

  await backbone.start()
  await backbone.transaction((tx) => backbone.publish(tx, OrderPlaced(order)))
  const health = await until('every part', async () => {
    const now = await backbone.health()
    return now.ready && now
  })

  expect(witness.all('kafka.unheard').map(({ reason }) => reason)).toEqual([expect.stringContaining(`Kafka at ${broker} did not answer`)])
  expect(health).toMatchObject({ live: true, ready: true, parts: { 'consumer shop': { ready: true, state: 'waiting for Kafka' } } })
})

test('what is registered after the start is refused', async () => {
  const backbone = build(await database())
  await backbone.start()

  expect(() => backbone.subscribe(OrderPlaced, async () => undefined)).toThrow(/came after start/)
  expect(() => backbone.saga(fulfilment)).toThrow(/came after start/)
})

describe('a registration that cannot be meant', () => {
  const shop = () =>
    createBackbone({
      service: 'shop',
      kafka: { driver: 'memory' },
      database: { connectionString: 'postgres://nobody@127.0.0.1:1/none' },
      logger: false,
    })
  const handler = async () => undefined

  test.for<[string, () => void, string, RegExp]>([
    [
      'a group of another service',
      () => shop().group('billing').subscribe(OrderPlaced, handler),
      'GROUP_FOREIGN',
      /Call it "shop\.billing"/,
    ],
    ['a group without a name of its own', () => void shop().group('shop.'), 'GROUP_FOREIGN', /"shop\.…"/],
    ['a group with letters that no other tool knows', () => void shop().group('shop.prüfung '), 'GROUP_NAME_INVALID', /at most 180/],
    [
      'a group under the name of a saga',
      () => {
        const backbone = shop()
        backbone.saga(fulfilment)
        backbone.group('shop.order-fulfilment')
      },
      'GROUP_OF_SAGA',
      /group of saga "order-fulfilment", and of it alone/,
    ],
    [
      'a saga under the name of a group',
      () => {
        const backbone = shop()
        backbone.group('shop.order-fulfilment', { from: 'latest' })
        backbone.saga(fulfilment)
      },
      'GROUP_OF_SAGA',
      /backbone\.group\('shop\.order-fulfilment-events'\)/,
    ],
    ['no contract at all', () => shop().subscribe([], handler as never), 'CONTRACT_MISSING', /schema generate/],
    ['something else than a contract', () => shop().subscribe({} as never, handler as never), 'CONTRACT_MISSING', /schema generate/],
    ['no handler', () => shop().subscribe(OrderPlaced, undefined as never), 'HANDLER_MISSING', /must be a function, got undefined/],
    [
      'an error that is none',
      () => shop().subscribe(OrderPlaced, handler, { retry: { permanent: [42 as never] } }),
      'OPTION_INVALID',
      /"retry\.permanent": expected a list of up to 100 codes/,
    ],
  ])('is refused: %s', ([, register, code, message]) => {
    expect(register).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
  })

  test('is not one under the name of the service, or behind it', () => {
    const backbone = shop()
    backbone.group('shop', { from: 'latest' }).subscribe(OrderPlaced, handler)
    backbone.group('shop.audit-2').subscribe(OrderPlaced, handler)

    expect(backbone.groups.map(({ group }) => group)).toEqual(['shop', 'shop.audit-2'])
  })
})

test('health tells of each part', async () => {
  const url = await database()
  const backbone = build(url)
  backbone.subscribe(OrderPlaced, async () => undefined)
  const joined = backbone.diagnostics.next('consumer.assigned')
  await backbone.start()
  await joined

  const { live, parts } = await backbone.health()

  expect(live).toBe(true)
  expect(Object.keys(parts).sort()).toEqual(['consumer shop', 'database', 'relay', 'retries shop'])
  expect(parts['database']).toEqual({ ready: true, state: 'reachable' })
})

test('a backbone may be stopped twice, before its start, and while it starts', async () => {
  const url = await database()
  const never = build(url)
  const starting = build(url)

  await Promise.all([never.stop(), never.stop()])
  const start = starting.start().catch(() => undefined)
  await starting.stop()
  await start

  await expect(never.finished).resolves.toBeUndefined()
  await expect(starting.finished).resolves.toBeUndefined()
})

test('nothing begins to run after a stop that came during the start', async () => {
  const pool = usersPool({ connectionString: await database(), max: 4 })
  const backbone = build('', { database: { pool } })
  backbone.subscribe(OrderPlaced, async () => undefined)
  const begun: string[] = []
  const start = backbone.start().catch((error: unknown) => error)
  await backbone.stop()
  backbone.diagnostics.on(({ name }) => begun.push(name))

  expect(isTrunklineError(await start, 'STOPPED')).toBe(true)
  await expect(backbone.start()).rejects.toThrow('was stopped')
  await backbone.transaction((tx) => tx.query('select pg_sleep(0.3)'))
  expect(begun.filter((name) => !name.startsWith('transaction.'))).toEqual([])
})

test('a pool of the user with its password apart serves the relay too', async () => {
  const { hostname, port, username, password, pathname } = new URL(await database())
  const pool = usersPool({ host: hostname, port: Number(port), user: username, password, database: pathname.slice(1), max: 4 })
  const backbone = build('', { database: { pool } })
  const inOffice = backbone.diagnostics.next('relay.term_started')

  await backbone.start({ run: ['relay'] })

  expect((await inOffice).epoch).toBe(1n)
})

test('a pool is no transaction', async () => {
  const pool = usersPool({ connectionString: await database() })

  // @ts-expect-error the type already refuses it
  await expect(build('', { database: { pool } }).publish(pool, OrderPlaced(order))).rejects.toThrow(/needs the transaction/)
})

test('roles that were not asked for do not run', async () => {
  const backbone = build(await database())
  backbone.subscribe(OrderPlaced, async () => undefined)

  await backbone.start({ run: ['relay'] })

  expect(Object.keys((await backbone.health()).parts)).toEqual(['database', 'relay'])
})

test('a message travels from one transaction to its handler, with what caused it', async () => {
  const backbone = build(await database())
  const handled = Promise.withResolvers<unknown>()
  backbone.subscribe(OrderPlaced, async (message, { attempt, idempotencyKey }) => {
    handled.resolve({ data: message.data, source: message.source, attempt, keyed: idempotencyKey.length })
  })
  await backbone.start()

  await backbone.transaction((tx) => backbone.publish(tx, OrderPlaced(order), { attributes: { tenant: 'a' }, correlationId: 'c-1' }))

  expect(await handled.promise).toEqual({ data: order, source: '/shop', attempt: 1, keyed: 36 })
})

test('an attribute that belongs to Trunkline is refused', async () => {
  const backbone = build(await database())

  const stolen = backbone.transaction((tx) => backbone.publish(tx, OrderPlaced(order), { attributes: { sagaid: 'x' } }))

  await expect(stolen).rejects.toThrow(/"sagaid" is set by Trunkline/)
})

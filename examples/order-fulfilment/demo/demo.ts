import { setTimeout as sleep } from 'node:timers/promises'
import { type Backbone, createBackbone } from 'trunkline'
import { type Stack, startStack } from '../../../src/faces/stack/stack.ts'
import { ReserveStock } from '../contracts/stock.ts'
import { type Order, placeOrder } from '../orders/place-order.ts'
import { initialBalance, initialStock, ordersToPlace } from './orders-to-place.ts'
import { Progress } from './progress.ts'
import { type Planted, report } from './report.ts'
import { type RunningService, type ServiceName, services, startHere, startProcess } from './services.ts'
import { PARTITIONS, World } from './world.ts'

export interface DemoOptions {
  readonly orders: number
  /** `undefined`: payments, where services are processes. */
  readonly kill: ServiceName | 'none' | undefined
  readonly seed: number
  readonly signal: AbortSignal
}

const TABLES_MS = 30_000
const READING_MS = 30_000
const QUIET_MS = 60_000
/** By all groups of the service together; the saga of `orders` is a group of its own. */
const topicsRead = { orders: 5, stock: 2, payments: 1 }
/** Between two orders: 40 a second, some 350 messages. */
const PACE_MS = 25

/** @returns whether everything adds up */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { env } = process
  const brokers = env['TRUNKLINE_TEST_KAFKA_BROKERS']
  const stack = await startStack({
    given: { ...(brokers === undefined ? {} : { brokers: brokers.split(',') }), databaseUrl: env['TRUNKLINE_TEST_DATABASE_URL'] },
    real: env['TRUNKLINE_STACK'] === 'real',
    env,
    say,
    signal: options.signal,
  })
  const world = new World(stack)
  try {
    await world.create()
    return await play(world, stack, options)
  } finally {
    await world.destroy()
    await stack.stop()
  }
}

async function play(world: World, stack: Stack, options: DemoOptions): Promise<boolean> {
  const { signal } = options
  const kill = chooseVictim(world, options.kill)
  const started = performance.now()
  const running = new Map<ServiceName, RunningService>()
  // The shop's web process: it publishes with its transactions, and needs neither Kafka nor start().
  const shop = createBackbone({ ...world.optionsOf('orders'), service: 'orders' })
  const ended = stack.ended.then((line) => {
    throw new Error(line)
  })
  const work = async (): Promise<boolean> => {
    for (const service of services) running.set(service, await start(world, service))
    await fillShelves(world, signal)
    await untilReading(world, signal)
    const planted = await plant(world, shop, options.seed)
    const orders = ordersToPlace(options.orders, options.seed)
    const committedAt = await placeAll(shop, orders, signal, async () => {
      if (kill !== undefined) await killAndRestart(world, running, kill)
    })
    await untilQuiet(world, orders.length, signal)
    for (const [service, process] of running) {
      const trouble = await process.stop()
      running.delete(service)
      if (trouble !== undefined) throw new Error(trouble)
    }
    const seconds = (performance.now() - started) / 1_000
    return report(world, { orders, committedAt, planted, killed: kill, seconds, signal })
  }
  try {
    return await Promise.race([work(), ended, aborted(signal)])
  } finally {
    await Promise.all([...running.values()].map((process) => process.stop()))
    await shop.stop()
  }
}

function chooseVictim(world: World, wanted: ServiceName | 'none' | undefined): ServiceName | undefined {
  if (!world.isReal) {
    if (wanted !== undefined && wanted !== 'none') {
      throw new Error(
        '--kill needs services in processes of their own, and without Kafka they share one. Install Java 17 and Maven, or Docker, and run again.',
      )
    }
    return undefined
  }
  return wanted === 'none' ? undefined : (wanted ?? 'payments')
}

function start(world: World, service: ServiceName): Promise<RunningService> {
  if (world.isReal) return Promise.resolve(startProcess(service, world.environmentOf(service)))
  return startHere(service, world.optionsOf(service))
}

async function fillShelves(world: World, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + TABLES_MS
  const ready = async (): Promise<boolean> => {
    const present = await Promise.all([
      world.ask('stock', "select to_regclass('demand') as name"),
      world.ask('payments', "select to_regclass('payment') as name"),
      world.ask('orders', "select to_regclass('orders') as name"),
    ])
    return present.every(([row]) => row?.['name'] !== null)
  }
  while (!(await ready())) {
    if (performance.now() > deadline) throw new Error(`A service did not create its tables within ${TABLES_MS / 1_000} s.`)
    await sleep(50, undefined, { signal })
  }
  for (const [sku, available] of initialStock)
    await world.ask('stock', 'insert into stock (sku, available) values ($1, $2)', [sku, available])
  await world.ask('payments', "insert into account (name, balance) values ('customers', $1), ('shop', 0)", [initialBalance])
}

/** Every service has taken every partition of its topics. */
async function untilReading(world: World, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + READING_MS
  const isReading = async (service: ServiceName): Promise<boolean> =>
    (await world.count(service, 'select count(*) from trunkline.consumer_position')) >= topicsRead[service] * PARTITIONS
  while (!(await Promise.all(services.map(isReading))).every(Boolean)) {
    if (performance.now() > deadline) throw new Error(`A service did not take its partitions within ${READING_MS / 1_000} s.`)
    await sleep(50, undefined, { signal })
  }
}

/** Two troublemakers: bytes that nobody can read, and a command whose handler always throws. */
async function plant(world: World, shop: Backbone, seed: number): Promise<Planted> {
  await world.log.producer.start(AbortSignal.timeout(10_000))
  const record = { key: Buffer.from('nobody'), value: Buffer.from('not an envelope'), headers: [], timestampMs: Date.now() }
  const outcome = await world.log.producer.append({ topic: 'orders', partition: 0 }, [record])
  if (outcome.status !== 'acked') throw outcome.reason
  const orderId = `${seed.toString(16).padStart(8, '0')}-dead-4000-8000-000000000000`
  await shop.transaction(async (tx) => {
    // The database forbids a reservation of nothing.
    await shop.publish(tx, ReserveStock({ orderId, sku: 'apple', quantity: 0 }))
  })
  return { unreadableIn: ['stock', 'orders.order-fulfilment'], alwaysThrowsIn: 'stock' }
}

/**
 * Places the orders at a steady pace, so that the latencies tell of the way and not of a queue.
 *
 * @returns when each order's transaction was committed, milliseconds since the epoch
 */
async function placeAll(
  shop: Backbone,
  orders: readonly Order[],
  signal: AbortSignal,
  halfWay: () => Promise<void>,
): Promise<Map<string, number>> {
  const progress = new Progress('orders placed', orders.length)
  const committedAt = new Map<string, number>()
  const started = performance.now()
  const placing = orders.map(async (order, index) => {
    await sleep(Math.max(0, started + index * PACE_MS - performance.now()), undefined, { signal })
    await placeOrder(shop, order)
    committedAt.set(order.orderId, Date.now())
    progress.update(committedAt.size)
    if (index === Math.floor(orders.length / 2)) await halfWay()
  })
  await Promise.all(placing)
  return committedAt
}

async function killAndRestart(world: World, running: Map<ServiceName, RunningService>, victim: ServiceName): Promise<void> {
  await running.get(victim)?.kill()
  say(`Killed ${victim} with SIGKILL; starting it again.`)
  running.set(victim, await start(world, victim))
}

/** Every saga has ended, every outbox is empty, and every consumer stands at the end of its topics. */
async function untilQuiet(world: World, orders: number, signal: AbortSignal): Promise<void> {
  const progress = new Progress('orders settled', orders)
  const deadline = performance.now() + QUIET_MS
  while (true) {
    const ended = await world.count('orders', "select count(*) from trunkline.saga_instance where status in ('completed', 'compensated')")
    progress.update(ended)
    if (ended >= orders && (await isQuiet(world))) return
    if (performance.now() > deadline)
      throw new Error(
        `${ended} of ${orders} orders were settled ${QUIET_MS / 1_000} s after the last was placed. ${await whatWaits(world)}`,
      )
    await sleep(200, undefined, { signal })
  }
}

async function isQuiet(world: World): Promise<boolean> {
  for (const service of services) {
    if ((await world.count(service, 'select count(*) from trunkline.outbox')) > 0) return false
    // Nobody is queued behind the planted messages, so whatever waits is still to be tried.
    if ((await world.count(service, "select count(*) from trunkline.parked_message where state = 'waiting'")) > 0) return false
    const positions = await world.ask(service, 'select topic, partition, next_offset from trunkline.consumer_position')
    for (const position of positions) {
      const range = await world.log.admin.rangeOf({ topic: String(position['topic']), partition: Number(position['partition']) })
      if (BigInt(String(position['next_offset'])) < range.latest) return false
    }
  }
  return true
}

async function whatWaits(world: World): Promise<string> {
  const waiting = await Promise.all(
    services.map(async (service) => `${service}: ${await world.count(service, 'select count(*) from trunkline.outbox')} in the outbox`),
  )
  return `${waiting.join('; ')}.`
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')))
  })
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

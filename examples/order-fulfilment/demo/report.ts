import { inboxId } from '../../../src/foundation/ids.ts'
import type { Order } from '../orders/place-order.ts'
import { initialBalance, initialStock } from './orders-to-place.ts'
import { type ReadRecord, readLog } from './read-log.ts'
import type { ServiceName } from './services.ts'
import { topics, type World } from './world.ts'

export interface Planted {
  /** The groups that read the topic with the undecodable record. */
  readonly unreadableIn: readonly string[]
  readonly alwaysThrowsIn: string
}

export interface Run {
  readonly orders: readonly Order[]
  readonly committedAt: ReadonlyMap<string, number>
  readonly planted: Planted
  readonly killed: ServiceName | undefined
  readonly seconds: number
  readonly signal: AbortSignal
}

interface Line {
  readonly what: string
  readonly found: string
  /** `undefined`: a figure, not a check. */
  readonly holds: boolean | undefined
}

/** Prints the table. @returns whether everything adds up */
export async function report(world: World, run: Run): Promise<boolean> {
  const records = await readLog(world.log, topics, run.signal)
  const lines = [
    ...(await orderLines(world, run)),
    ...(await conservedLines(world, run)),
    ...(await effectLines(world, run)),
    ...logLines(records),
    ...(await deadLetterLines(world, run.planted)),
    ...(await latencyLines(world, run, records)),
  ]
  print(lines, run)
  return lines.every((line) => line.holds !== false)
}

async function orderLines(world: World, { orders }: Run): Promise<Line[]> {
  const placed = await world.count('orders', 'select count(*) from orders')
  const confirmed = await world.count('orders', "select count(*) from trunkline.saga_instance where status = 'completed'")
  const rejected = await world.count('orders', "select count(*) from trunkline.saga_instance where status = 'compensated'")
  const marked = await world.count('orders', "select count(*) from orders where status = 'confirmed'")
  return [
    { what: 'orders placed', found: String(placed), holds: placed === orders.length },
    { what: 'orders confirmed', found: String(confirmed), holds: confirmed === marked },
    { what: 'orders rejected', found: String(rejected), holds: confirmed + rejected === placed && rejected > 0 },
  ]
}

/** What left the shelves lies in reservations; what left the customers is with the shop. */
async function conservedLines(world: World, { orders }: Run): Promise<Line[]> {
  const before = [...initialStock.values()].reduce((sum, available) => sum + available, 0)
  const available = await world.count('stock', 'select sum(available) from stock')
  const reserved = await world.count('stock', 'select coalesce(sum(quantity), 0) from reservation')
  const customers = await world.count('payments', "select balance from account where name = 'customers'")
  const shop = await world.count('payments', "select balance from account where name = 'shop'")
  const owed = await world.count('orders', "select coalesce(sum(total), 0) from orders where status = 'confirmed'")
  const demanded = await world.count('stock', 'select coalesce(sum(ordered), 0) from demand')
  const ordered = orders.reduce((sum, order) => sum + order.quantity, 0)
  return [
    { what: 'stock before → after + reserved', found: `${before} → ${available} + ${reserved}`, holds: before === available + reserved },
    {
      what: 'money before → customers + shop',
      found: `${initialBalance} → ${customers} + ${shop}`,
      holds: initialBalance === customers + shop,
    },
    { what: 'shop has what confirmed orders cost', found: `${shop} = ${owed}`, holds: shop === owed },
    { what: 'demand counted = quantity ordered', found: `${demanded} = ${ordered}`, holds: demanded === ordered },
  ]
}

async function effectLines(world: World, _run: Run): Promise<Line[]> {
  const confirmed = await ids(world, 'orders', "select id from orders where status = 'confirmed' order by id")
  const reserved = await ids(world, 'stock', 'select order_id from reservation order by order_id')
  const paid = await ids(world, 'payments', 'select order_id from payment order by order_id')
  const same = confirmed === reserved && confirmed === paid
  const count = confirmed === '' ? 0 : confirmed.split(',').length
  return [{ what: 'confirmed = reserved = paid, each once', found: `${count} orders`, holds: same }]
}

function logLines(records: readonly ReadRecord[]): Line[] {
  const lines = topics.map((topic): Line => {
    const count = records.filter((record) => record.topic === topic).length
    return { what: `messages on ${topic}`, found: String(count), holds: undefined }
  })
  const known = records.map(idOf).filter((id) => id !== undefined)
  const duplicates = known.length - new Set(known).size
  return [...lines, { what: 'duplicates in the log', found: `${duplicates} (allowed: the inbox absorbs them)`, holds: undefined }]
}

async function deadLetterLines(world: World, planted: Planted): Promise<Line[]> {
  const found: string[] = []
  for (const service of ['orders', 'stock', 'payments'] as const) {
    const rows = await world.ask(
      service,
      "select consumer_group, key_hash is null as lane_of_its_own from trunkline.parked_message where state = 'dead'",
    )
    for (const row of rows) found.push(`${String(row['consumer_group'])} ${row['lane_of_its_own'] === true ? 'unreadable' : 'failed'}`)
  }
  const waiting = await world.count('stock', "select count(*) from trunkline.parked_message where state = 'waiting'")
  const expected = [...planted.unreadableIn.map((group) => `${group} unreadable`), `${planted.alwaysThrowsIn} failed`]
  const holds = found.sort().join() === expected.sort().join() && waiting === 0
  return [{ what: 'dead letters: the planted ones', found: `${found.length} of ${expected.length}`, holds }]
}

/** From the commit of the order to the transaction that counted it in another service's database. */
async function latencyLines(world: World, { committedAt }: Run, records: readonly ReadRecord[]): Promise<Line[]> {
  const handled = await world.ask(
    'stock',
    "select id, extract(epoch from handled_at) * 1000 as at from trunkline.inbox where consumer_group = 'stock'",
  )
  const handledAt = new Map(handled.map((row) => [String(row['id']), Number(row['at'])]))
  const latencies: number[] = []
  for (const record of records) {
    if (record.topic !== 'orders') continue
    const id = idOf(record)
    const at = id === undefined ? undefined : handledAt.get(inboxId('/orders', id))
    const from = committedAt.get(record.key?.toString() ?? '')
    if (at !== undefined && from !== undefined) latencies.push(Math.max(0, at - from))
  }
  latencies.sort((a, b) => a - b)
  const percentile = (share: number): string => `${(latencies[Math.floor((latencies.length - 1) * share)] ?? Number.NaN).toFixed(1)} ms`
  return [{ what: 'commit → effect p50 / p99', found: `${percentile(0.5)} / ${percentile(0.99)}`, holds: undefined }]
}

async function ids(world: World, service: ServiceName, sql: string): Promise<string> {
  const rows = await world.ask(service, sql)
  return rows.map((row) => String(Object.values(row)[0])).join(',')
}

function idOf(record: ReadRecord): string | undefined {
  return record.headers.find(([name]) => name === 'ce_id')?.[1].toString()
}

function print(lines: readonly Line[], run: Run): void {
  const width = Math.max(...lines.map((line) => line.what.length))
  const mark = (holds: boolean | undefined): string => (holds === undefined ? ' ' : { true: '✓', false: '✗' }[`${holds}`])
  console.log('')
  for (const line of lines) console.log(`  ${mark(line.holds)} ${line.what.padEnd(width)}  ${line.found}`)
  const killed = run.killed === undefined ? 'no service was killed' : `${run.killed} was killed and started again`
  const good = lines.every((line) => line.holds !== false)
  console.log(
    `\n${good ? 'Everything adds up' : 'This does NOT add up'}: ${run.orders.length} orders in ${run.seconds.toFixed(1)} s, ${killed}.`,
  )
}

import { setTimeout as sleep } from 'node:timers/promises'
import { CountingListener } from '../counting-listener.ts'
import { ports } from '../driver-ports.ts'

const SETTLE_MS = 3_000
const IDLE_MS = 10_000
const SAMPLE_MS = 50
const BATCH = 1_000
/** One for all: what a sender makes of its own is not the driver's. */
const VALUE = Buffer.alloc(300, 'x')
const PARTITIONS = [0, 1, 2, 3]

const [mode, driver, brokers = '', topic = '', records = '0', group = `bench-${process.pid}`] = process.argv.slice(2)
const log = ports[driver === 'platformatic' ? driver : 'kafkajs'](brokers.split(','))

let read = 0
await log.producer.start(AbortSignal.timeout(60_000))
const consumer = log.consumers.consumer(group, [topic])
const listener = new CountingListener((values) => {
  read += values.length
})
await consumer.start(listener, AbortSignal.timeout(60_000))

if (mode === 'idle') console.log(JSON.stringify({ figure: await idle() }))
if (mode === 'pass') console.log(JSON.stringify({ figure: await pass(Number(records)) }))
if (mode === 'member') {
  console.log('joined')
  await new Promise((resolve) => process.once('SIGTERM', resolve))
}
await consumer.stop(2_000)
await log.producer.stop(2_000)
await log.admin.close()

/** @returns the share of a core that it takes while nothing happens */
async function idle(): Promise<number> {
  await sleep(SETTLE_MS)
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await sleep(IDLE_MS)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000 / (performance.now() - startedAt)
}

/** @returns the most memory that the process had, in bytes, while so many records were appended and read */
async function pass(count: number): Promise<number> {
  let peak = 0
  const sampling = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, SAMPLE_MS)
  await Promise.all(PARTITIONS.map((partition) => appendShare(partition, count / PARTITIONS.length)))
  while (read < count) await sleep(SAMPLE_MS)
  clearInterval(sampling)
  return peak
}

async function appendShare(partition: number, share: number): Promise<void> {
  for (let sent = 0; sent < share; sent += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, share - sent) }, () => ({
      key: null,
      value: VALUE,
      headers: [],
      timestampMs: Date.now(),
    }))
    const outcome = await log.producer.append({ topic, partition }, batch)
    if (outcome.status !== 'acked') throw outcome.reason
  }
}

import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { createBackbone } from 'trunkline'
import { z } from 'zod'

const planSchema = z.strictObject({ brokers: z.array(z.string()), connectionString: z.string(), events: z.int(), idleMs: z.int() })
const { brokers, connectionString, events, idleMs } = planSchema.parse(JSON.parse(process.argv.at(-1) ?? ''))

const backbone = createBackbone({ service: 'bench', kafka: { driver: 'kafkajs', brokers }, database: { connectionString }, logger: false })
const drained = Promise.withResolvers<void>()
let [removed, began] = [0, performance.now()]
backbone.diagnostics.on(({ name, fields }) => {
  if (name === 'relay.term_started') began = performance.now()
  if (name !== 'relay.removed' || !('messages' in fields)) return
  removed += fields.messages
  if (removed >= events) drained.resolve()
})
await backbone.start({ run: ['relay'] })
await drained.promise
const eventsPerSecond = (events / (performance.now() - began)) * 1_000

// What follows the last delete is not idleness yet.
await pause(2_000)
const counter = new Client({ connectionString })
await counter.connect()
const before = { cpu: process.cpuUsage(), queries: await queries() }
await pause(idleMs)
const { user, system } = process.cpuUsage(before.cpu)
const report = {
  eventsPerSecond,
  idleShare: (user + system) / 1_000 / idleMs,
  queriesPerSecond: ((await queries()) - before.queries) / (idleMs / 1_000),
}
process.send?.(report)
await counter.end()
await backbone.stop()

/** Transactions of the database, each of which was one statement of the relay's. */
async function queries(): Promise<number> {
  await counter.query('select pg_stat_force_next_flush()')
  const { rows } = await counter.query('select xact_commit from pg_stat_database where datname = current_database()')
  return Number(rows[0]?.xact_commit)
}

import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { createBackbone } from '../../src/backbone.ts'

const planSchema = z.strictObject({ brokers: z.array(z.string()), connectionString: z.string() })
const { brokers, connectionString } = planSchema.parse(JSON.parse(process.argv[2] ?? '{}'))

/** A relay as `trunkline relay` runs it. It says when it is ready, and what it costs when it is asked. */
const backbone = createBackbone({ service: 'bench', kafka: { driver: 'kafkajs', brokers }, database: { connectionString }, logger: false })
let inOffice = false
backbone.diagnostics.on(({ name }) => {
  if (name === 'relay.term_started') inOffice = true
})
await backbone.start({ run: ['relay'] })
process.send?.({ ready: true })

process.on('message', (asked) => {
  void (async () => {
    const { idleMs } = z.strictObject({ idleMs: z.int() }).parse(asked)
    const cpu = process.cpuUsage()
    await pause(idleMs)
    const { user, system } = process.cpuUsage(cpu)
    process.send?.({ inOffice, share: (user + system) / 1_000 / idleMs, rss: process.memoryUsage.rss() })
  })()
})

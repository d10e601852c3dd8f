import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { createBackbone } from '../../src/backbone.ts'
import { slowEventOn } from '../slow-event.ts'

const planSchema = z.strictObject({
  brokers: z.array(z.string()),
  connectionString: z.string(),
  topic: z.string(),
  handlerMs: z.int(),
  forMs: z.int(),
})
const { brokers, connectionString, topic, handlerMs, forMs } = planSchema.parse(JSON.parse(process.argv[2] ?? '{}'))

const backbone = createBackbone({ service: topic, kafka: { driver: 'kafkajs', brokers }, database: { connectionString }, logger: false })
let handled = 0
backbone.subscribe(
  slowEventOn(topic),
  async () => {
    await pause(handlerMs)
    handled++
  },
  { transaction: 'message' },
)
const assigned = backbone.diagnostics.next('consumer.assigned')
await backbone.start({ run: ['consume'] })
await assigned
const rss: number[] = []
for (const end = performance.now() + forMs; performance.now() < end; await pause(250)) rss.push(process.memoryUsage.rss())
process.send?.({ rss, handled })
await backbone.stop()

import { setTimeout as pause } from 'node:timers/promises'
import { createBackbone } from 'trunkline'
import { type ContractDefinition, contract } from 'trunkline/contract'
import { z } from 'zod'

const planSchema = z.strictObject({
  brokers: z.array(z.string()),
  connectionString: z.string(),
  definition: z.custom<ContractDefinition>(),
  handlerMs: z.int(),
  forMs: z.int(),
})
const { brokers, connectionString, definition, handlerMs, forMs } = planSchema.parse(JSON.parse(process.argv.at(-1) ?? ''))

const backbone = createBackbone({
  service: definition.topic,
  kafka: { driver: 'kafkajs', brokers },
  database: { connectionString },
  logger: false,
})
let handled = 0
backbone.subscribe(
  contract<{ kind: 'event'; name: 'bench.Slow'; input: object; data: object; reply: void }>(definition),
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

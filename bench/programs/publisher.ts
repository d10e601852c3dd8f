import { z } from 'zod'
import { createBackbone } from '../../src/backbone.ts'
import { measuredContract } from '../outbox-ground.ts'
import { publishSteadily } from '../publish-steadily.ts'

const planSchema = z.strictObject({ connectionString: z.string(), topic: z.string(), perSecond: z.number(), forMs: z.number() })
const { connectionString, topic, perSecond, forMs } = planSchema.parse(JSON.parse(process.argv[2] ?? '{}'))

const backbone = createBackbone({
  service: 'bench',
  kafka: { driver: 'memory' },
  database: { connectionString, connectTimeout: '1m' },
  logger: false,
})
const Measured = measuredContract(topic)
const transact = (data: Parameters<typeof Measured>[0]): Promise<void> => backbone.transaction((tx) => backbone.publish(tx, Measured(data)))

// A second for the compiler, of which nobody is told.
await publishSteadily(transact, { perSecond, forMs: 1_000 }, () => undefined)
const committed: { key: string; atMs: number }[] = []
await publishSteadily(transact, { perSecond, forMs }, (key, atMs) => committed.push({ key, atMs }))
await new Promise((resolve) => process.send?.(committed, resolve))
await backbone.stop()
process.disconnect()

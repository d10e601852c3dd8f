import { z } from 'zod'
import { createBackbone } from '../../../src/index.ts'

const planSchema = z.strictObject({ databaseUrl: z.string(), watchdog: z.union([z.literal('1s'), z.literal(false)]), forMs: z.int() })
const { databaseUrl, watchdog, forMs } = planSchema.parse(JSON.parse(process.env['PLAN'] ?? '{}'))

// As a handler that loops does: no timer fires and no signal is handled meanwhile.
const backbone = createBackbone({
  service: 'blocking',
  kafka: { driver: 'memory' },
  database: { connectionString: databaseUrl },
  logger: false,
  watchdog,
})
await backbone.run({ run: ['relay'] })
console.log('runs')
for (const end = performance.now() + forMs; performance.now() < end; ) Math.sqrt(2)
console.log('turns again')
await backbone.stop()
console.log('stopped')

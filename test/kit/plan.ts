import { z } from 'zod'
import { type Variant, variants } from './broken/variants.ts'
import { failpointSchema } from './failpoints.ts'

const names = Object.keys(variants) as [Variant, ...Variant[]]

/** What a program of the kit does; it comes as JSON in the variable PLAN. */
export const planSchema = z.strictObject({
  brokers: z.array(z.string()),
  driver: z.enum(['kafkajs', 'platformatic']).default('kafkajs'),
  databaseUrl: z.string(),
  topic: z.string(),
  /** The consumer group, too. */
  service: z.string(),
  run: z.array(z.enum(['relay', 'consume'])).default([]),
  /** The relay's lease and batch. */
  relay: z.strictObject({ lease: z.templateLiteral([z.number(), 's']).default('1s'), batchSize: z.int().default(10) }).prefault({}),
  failpoints: z.array(failpointSchema).default([]),
  /** Messages to publish, over the keys in turn; each in a transaction of its own. */
  publish: z
    .strictObject({ messages: z.int(), keys: z.array(z.string()), historyPath: z.string(), everyMs: z.int().default(0) })
    .optional(),
  /** Says again and again what it uses: memory, open files, what its event loop waits for. */
  reports: z
    .strictObject({
      everyMs: z.int(),
      /** Whether to collect garbage before, so that what is told is what is held. */
      collects: z.boolean().default(false),
    })
    .optional(),
  /** Whose transaction a handler works in, and whether beside others. */
  mode: z.enum(['batch', 'interleave', 'message']).default('batch'),
  /** Milliseconds that a handler takes. */
  handlerMs: z.int().default(0),
  /** As a service in production: `run()`, with a watchdog. */
  supervised: z.boolean().default(false),
  /** How much memory V8 may take for objects. */
  heapMb: z.int().optional(),
  broken: z.enum(names).optional(),
})
export type Plan = z.input<typeof planSchema>
export type ParsedPlan = z.output<typeof planSchema>

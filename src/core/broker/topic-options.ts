import { z } from 'zod'
import { duration } from '../../foundation/duration.ts'
import type { TopicSpec } from './topic-plan.ts'

const overridable = {
  /** Keys are hashed by their number: raise it later only by `trunkline topic apply --raise-partitions`. */
  partitions: z.int().min(1).max(10_000),
  /** On how many brokers each partition is. Three lets one be away while another is lost. */
  replicationFactor: z.int().min(1).max(15),
  /** How long records stay; a group that is away for longer loses them, loudly. Without it the brokers decide. */
  retention: z.union([z.literal('forever'), duration({ min: '1s' })]),
  /** What becomes of old records. Without it the brokers decide, which delete unless told otherwise. */
  cleanupPolicy: z.enum(['delete', 'compact', 'compact,delete']),
  /** How many replicas must have a record before it is acknowledged. Two, with three replicas, lose nothing with one broker. */
  minInSyncReplicas: z.int().min(1).max(15),
}

/** Topics as code: what is said for all of them, and for single ones by name. */
export const topicOptions = z.strictObject({
  /** Of topics that have no other. 1–10 000. Default 4. */
  partitions: overridable.partitions.default(4),
  /** 1–15. Default 1, which is for development. */
  replicationFactor: overridable.replicationFactor.default(1),
  /** `'7d'`, or `'forever'`. Default: the brokers decide. */
  retention: overridable.retention.optional(),
  /** Default: the brokers decide, which delete unless told otherwise. */
  cleanupPolicy: overridable.cleanupPolicy.optional(),
  /** 1–15. Default: the brokers decide. */
  minInSyncReplicas: overridable.minInSyncReplicas.optional(),
  /** By the name of a topic: `{ orders: { partitions: 12, retention: '30d' } }`. */
  overrides: z.record(z.string(), z.strictObject(overridable).partial()).default({}),
})
export type TopicOptions = z.output<typeof topicOptions>

const FOREVER_MS = '-1'

/** The topic of that name as the options describe it. */
export function specOf(name: string, { overrides, ...general }: TopicOptions): TopicSpec {
  const { partitions, replicationFactor, retention, cleanupPolicy, minInSyncReplicas } = { ...general, ...defined(overrides[name] ?? {}) }
  return {
    name,
    partitions,
    replicationFactor,
    settings: {
      ...(retention === undefined ? {} : { 'retention.ms': retention === 'forever' ? FOREVER_MS : String(retention) }),
      ...(cleanupPolicy === undefined ? {} : { 'cleanup.policy': cleanupPolicy }),
      ...(minInSyncReplicas === undefined ? {} : { 'min.insync.replicas': String(minInSyncReplicas) }),
    },
  }
}

function defined<Options extends object>(options: Options): Partial<{ [Name in keyof Options]: Exclude<Options[Name], undefined> }> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}

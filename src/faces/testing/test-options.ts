import { z } from 'zod'
import type { Backbone } from '../../backbone.ts'
import type { Transaction } from '../../core/database/database.ts'
import { duration } from '../../foundation/duration.ts'
import { faultKinds } from './fault-plan.ts'

const isFunction = (value: unknown): boolean => typeof value === 'function'

export const testBackboneOptions = z.strictObject({
  /** What registers the handlers and sagas under test: the functions that `main` calls too. */
  register: z.array(z.custom<(backbone: Backbone) => void>(isFunction, 'expected a function that registers handlers')).min(1),
  /** Makes the tables and the first rows, in a transaction before the start. Default: nothing. */
  prepare: z.custom<(tx: Transaction) => Promise<void>>(isFunction, 'expected an async function of a transaction').optional(),
  /** The service's name. Default 'test'. */
  service: z.string().default('test'),
  /** Any database of a server to make the test's own on. Default: `TRUNKLINE_TEST_DATABASE_URL`, or an embedded PostgreSQL. */
  database: z.string().optional(),
  /** Partitions of each topic, 1–64. Default 1, which makes runs repeatable; with more, keys run side by side. */
  partitions: z.int().min(1).max(64).default(1),
  /** What goes wrong, at places that the seed decides. Default: nothing. */
  faults: z.array(z.enum(faultKinds)).default([]),
  /** Which places. Default: by chance; a failure names it. */
  seed: z.int().min(0).max(0xff_ff_ff_ff).optional(),
})
export type TestBackboneOptions = z.input<typeof testBackboneOptions>
export type TestBackboneSettings = z.output<typeof testBackboneOptions>

export const quietOptions = z.strictObject({
  /** Brings saga timers and scheduled messages forward too, not only retries. Default false. */
  timers: z.boolean().default(false),
  /** Messages that became dead letters are no failure of the test. Default false. */
  allowDeadLetters: z.boolean().default(false),
  /** How long it may take, by the machine's clock. Default '10s'. */
  within: duration({ min: '10ms', max: '10m' }).prefault('10s'),
})
export type QuietOptions = z.input<typeof quietOptions>

import { isDeepStrictEqual } from 'node:util'
import type { ConsumedRecord } from '../src/core/broker/log-consumer.ts'
import { type Routed, routeRecord } from '../src/core/consume/route.ts'
import { conformToSchema } from '../src/core/contract/conform.ts'
import type { AnyContract } from '../src/core/contract/contract.ts'
import { messageOf } from '../src/foundation/errors.ts'
import { mutatedSample, older, readers, samples, writerSchemas } from './kit/fuzz-messages.ts'
import { anyPolicy } from './kit/policy.ts'
import { Random } from './kit/random.ts'

/** An event loop that stands still for longer misses heartbeats and time-outs of others. */
export const STALL_MS = 50
/** What takes longer is timed again: what else runs on the machine is slow once, a hostile value every time. */
const SUSPECT_MS = 5

export interface FuzzPlan {
  readonly runs: number
  readonly seed: number
  /** Called before each message is read, so that one that never ends can be named. */
  readonly onRun?: (run: number) => void
  /** How a record is read. Default: as a consumer reads it. */
  readonly read?: (record: ConsumedRecord, contract: AnyContract) => Routed<object>
}

export interface FuzzReport {
  readonly runs: number
  readonly seed: number
  /** Values that were still a message of their schema, and were read as one. */
  readonly read: number
  /** The others, by the reason for which they were set aside. */
  readonly refused: Readonly<Record<string, number>>
  /** Of one message; where that was long, the quickest of five times. */
  readonly slowestMs: number
  /** Messages that took more than 50 ms once, and less when they were read again: the machine was busy. */
  readonly slowOnce: number
}

/**
 * Changes valid messages at random, in every form that stands on topics, and reads them as a consumer does: with the version
 * that wrote them, with a newer one, and through an upcaster.
 *
 * @throws Error a message broke a promise: it threw, what was read does not fit its schema, it took more than 50 ms five times,
 *   or it did damage to those after it. The error names seed, run and bytes
 */
export function fuzz(plan: FuzzPlan): FuzzReport {
  // Nobody looks at the stacks of what is refused, and they take half of the time.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return readAll(plan)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function readAll({ runs, seed, onRun, read: reading = read }: FuzzPlan): FuzzReport {
  const random = new Random(seed)
  const refused: Record<string, number> = {}
  let read = 0
  let slowestMs = 0
  let slowOnce = 0
  for (let run = 0; run < runs; run++) {
    const record = recordOf(mutatedSample(random))
    const contract = random.pick(readers)
    const where = `seed ${seed}, run ${run}`
    onRun?.(run)
    const { routed, tookMs, firstMs } = timed(record, () => reading(record, contract), where)
    if (routed.kind === 'message') {
      checkFits(contract, routed.message.data, record, where)
      read++
    } else {
      refused[reasonOf(routed)] = (refused[reasonOf(routed)] ?? 0) + 1
    }
    if (firstMs > STALL_MS) slowOnce++
    slowestMs = Math.max(slowestMs, tookMs)
    if (run % 1_000 === 0) checkUnharmed(where, reading)
  }
  return { runs, seed, read, refused, slowestMs, slowOnce }
}

function read(record: ConsumedRecord, contract: AnyContract): Routed<object> {
  const policy = anyPolicy
  const subscriptions = new Map([[contract.definition.name, { contract, handler: async () => undefined, policy }]])
  return routeRecord(record, { topic: 'fuzz', partition: 0 }, { subscriptions, writerSchemas })
}

function recordOf({ headers, value }: Pick<ConsumedRecord, 'headers' | 'value'>): ConsumedRecord {
  return { offset: 0n, key: null, value, headers, timestampMs: 1_769_860_800_000 }
}

function reasonOf(routed: Exclude<Routed<object>, { kind: 'message' }>): string {
  return routed.kind === 'unreadable' ? routed.code : routed.kind
}

function checkFits(contract: AnyContract, data: unknown, record: ConsumedRecord, where: string): void {
  const content = plain(data)
  let fitting: unknown
  try {
    fitting = plain(conformToSchema(contract.definition, content))
  } catch (error) {
    throw broken(record, where, `what was read does not fit its schema (${messageOf(error)})`, error)
  }
  if (!isDeepStrictEqual(fitting, content)) throw broken(record, where, 'what was read is not as its schema would have it')
}

interface Timed {
  readonly routed: Routed<object>
  readonly firstMs: number
  readonly tookMs: number
}

function timed(record: ConsumedRecord, reading: () => Routed<object>, where: string): Timed {
  const first = once(record, reading, where)
  let { tookMs } = first
  for (let tries = 1; tries < 5 && tookMs > SUSPECT_MS; tries++) tookMs = Math.min(tookMs, once(record, reading, where).tookMs)
  if (tookMs > STALL_MS) throw broken(record, where, `it takes ${Math.round(tookMs)} ms`)
  return { routed: first.routed, firstMs: first.tookMs, tookMs }
}

function once(record: ConsumedRecord, reading: () => Routed<object>, where: string): { routed: Routed<object>; tookMs: number } {
  const before = performance.now()
  try {
    return { routed: reading(), tookMs: performance.now() - before }
  } catch (error) {
    throw broken(record, where, `it threw ${String(error)}`, error)
  }
}

function broken({ headers, value }: ConsumedRecord, where: string, problem: string, cause?: unknown): Error {
  const shown = headers.map(([name, bytes]) => `${JSON.stringify(name)}: ${bytes.toString('hex')}`).join(', ')
  return new Error(`${where}: ${problem}. Value ${value?.toString('hex')}, headers ${shown}`, { cause })
}

/** Hostile values must leave nothing behind that the next message meets. */
function checkUnharmed(where: string, reading: (record: ConsumedRecord, contract: AnyContract) => Routed<object>): void {
  for (const sample of samples) {
    const record = recordOf(sample)
    const routed = reading(record, older)
    const isSame = routed.kind === 'message' && isDeepStrictEqual(plain(routed.message.data), plain(sample.data))
    if (!isSame) throw broken(record, where, `a valid message (${sample.form}) is not read as before: ${routed.kind}`)
  }
  if (Object.keys(Object.prototype).length > 0) throw new Error(`${where}: Object.prototype was changed.`)
}

/** Decoded records are instances of classes of their own; only their content counts. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value) || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

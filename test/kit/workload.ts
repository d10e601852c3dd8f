import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { SubscriptionOptions } from '../../src/core/consume/registry.ts'
import type { Handler } from '../../src/core/consume/subscription.ts'
import type { Outgoing } from '../../src/core/contract/contract.ts'
import type { Transaction } from '../../src/core/database/database.ts'
import type { BackboneDiagnostics } from '../../src/core/diagnostics.ts'
import { isTrunklineError, UnknownOutcomeError } from '../../src/foundation/errors.ts'
import { type Counted, type CountedName, countedOn } from './contracts.ts'
import { noteOperation } from './history.ts'

/** What a workload needs of a backbone, or of one that was put together by hand. */
export interface Publishing {
  readonly diagnostics: BackboneDiagnostics
  transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result>
  publish(tx: Transaction, message: Outgoing): Promise<void>
}

interface Subscribing {
  subscribe(contract: Counted, handler: Handler<Counted, Transaction>, options?: SubscriptionOptions): void
}

export interface CountedPlan {
  readonly topic: string
  readonly handlerMs?: number
  readonly retry?: SubscriptionOptions['retry']
  readonly mode?: 'batch' | 'interleave' | 'message'
}

/** Without a delay: a judge does not wait for what only takes its time. */
const threeTimes: SubscriptionOptions['retry'] = { inline: 2, delays: [] }

/** The handler of every run: an effect that can be counted. Notes make it fail in ways that handlers do. */
export function applyCounted(service: Subscribing, { topic, handlerMs = 0, retry = threeTimes, mode = 'batch' }: CountedPlan): void {
  const handler: Handler<Counted, Transaction> = async ({ data }, { tx, attempt }) => {
    // `fails 2`: twice, and then it works.
    if (attempt <= Number(/^fails (\d+)$/.exec(data.note)?.[1] ?? 0)) throw new Error('Not yet.')
    if (data.note === 'aborts') process.abort()
    if (data.note === 'blocks') for (;;) Math.sqrt(2)
    if (data.note === 'leaks') await leak()
    if (data.note === 'poison') throw new Error('This message always fails.')
    await tx.query('insert into effect (key, version) values ($1, $2)', [data.key, data.version])
    if (data.note === 'catches its SQL error') await tx.query('select 1 / 0').catch(() => undefined)
    if (handlerMs > 0) await pause(handlerMs)
  }
  const transaction = mode === 'message' ? 'message' : 'batch'
  service.subscribe(countedOn(topic), handler, { timeout: '3s', retry, transaction, interleave: mode === 'interleave' })
}

/** Others go on meanwhile; the process ends when V8 may take no more. */
async function leak(): Promise<never> {
  for (const kept: number[][] = []; ; await pause(0)) kept.push(Array.from({ length: 100_000 }, (_, index) => index + Math.random()))
}

/** Publishes the next message of a key: its number is counted in the same transaction, under the key's lock. */
export async function publishNext(
  service: Publishing,
  topic: string,
  key: string,
  { note = '', operation = '', name = 'test.Counted' }: { note?: string; operation?: string; name?: CountedName } = {},
): Promise<number> {
  return await service.transaction(async (tx) => {
    const { rows } = await tx.query(countSql, [key])
    const version = Number(rows[0]?.['version'])
    await tx.query('insert into committed (operation, key, version) values ($1, $2, $3)', [operation, key, version])
    await service.publish(tx, countedOn(topic, name)({ key, version, note }))
    return version
  })
}

export interface PublishPlan {
  readonly messages: number
  readonly keys: readonly string[]
  readonly historyPath: string
  /** Pause between two of them. */
  readonly everyMs?: number
}

/**
 * Publishes to the keys in turn, until so many transactions were told "ok", and notes what it was told about each.
 *
 * A transaction that failed is not run again; its operation stays noted as failed, and must not have committed.
 */
export async function publishCounted(
  service: Publishing,
  topic: string,
  { messages, keys, historyPath, everyMs = 0 }: PublishPlan,
): Promise<void> {
  for (let published = 0; published < messages; ) {
    const operation = randomUUID()
    const outcome = await outcomeOf(() => publishNext(service, topic, keys[published % keys.length] ?? 'a', { operation }))
    noteOperation(historyPath, { operation, outcome })
    if (outcome === 'ok') published++
    else await pause(50)
    if (everyMs > 0) await pause(everyMs)
  }
}

async function outcomeOf(work: () => Promise<unknown>): Promise<'ok' | 'failed' | 'unknown'> {
  try {
    await work()
    return 'ok'
  } catch (error) {
    if (error instanceof UnknownOutcomeError) return 'unknown'
    if (isTrunklineError(error)) return 'failed'
    throw error
  }
}

const countSql = `
  insert into source (key, version) values ($1, 1)
  on conflict (key) do update set version = source.version + 1
  returning version`
